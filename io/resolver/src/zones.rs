use jiff::Timestamp;
use jiff::tz::TimeZone;
use jwt::{UnixSeconds, Zones};

/// The zones this host knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemZones;

/// The longest name looked up.
const MAX_ZONE_NAME_BYTES: usize = 128;

impl Zones for SystemZones {
    fn offset_at(&self, zone: Option<&str>, at: UnixSeconds) -> Option<i32> {
        let zone = match zone {
            None | Some("Local") => TimeZone::system(),
            Some(name) if name.len() <= MAX_ZONE_NAME_BYTES => TimeZone::get(name).ok()?,
            Some(_) => return None,
        };
        Some(zone.to_offset(Timestamp::from_second(at).ok()?).seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_know_summer_and_winter() {
        let (winter, summer) = (1_705_320_000, 1_721_044_800);
        assert_eq!(SystemZones.offset_at(Some("UTC"), winter), Some(0));
        assert_eq!(SystemZones.offset_at(Some("Europe/Berlin"), winter), Some(3600));
        assert_eq!(SystemZones.offset_at(Some("Europe/Berlin"), summer), Some(7200));
        assert!(SystemZones.offset_at(None, winter).is_some());
    }

    #[test]
    fn names_that_are_no_zones_are_unknown() {
        for odd in ["Mars/Olympus", "", "../../etc/passwd", "/etc/passwd", "Europe/../Europe/Berlin"] {
            assert_eq!(SystemZones.offset_at(Some(odd), 0), None, "{odd}");
        }
        assert_eq!(SystemZones.offset_at(Some(&"a".repeat(1 << 20)), 0), None);
        assert_eq!(SystemZones.offset_at(Some("UTC"), i64::MAX), None);
    }
}
