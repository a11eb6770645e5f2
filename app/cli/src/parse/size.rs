//! Sizes in bytes as people write them: `128B`, `1KB`, `1MiB`, `1GB`. All units are powers of two.

/// Reads a size; anything negative, and nothing at all, means "unlimited" and is -1.
pub(crate) fn signed_size(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('-') {
        return Ok(-1);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = shift(unit).filter(|_| digits > 0).ok_or_else(|| {
        format!("invalid bytes specification {text}: bytes must end in B, K, KB, M, MB, G, GB, T or TB")
    })?;
    number
        .parse::<i64>()
        .ok()
        .and_then(|n| n.checked_mul(1 << shift))
        .ok_or_else(|| format!("invalid bytes specification {text}: the value is out of range"))
}

/// Reads a size that must be there and be positive.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    match signed_size(text)? {
        n @ 1.. => Ok(n.unsigned_abs()),
        _ => Err(format!("invalid bytes specification {text}: must be greater than 0")),
    }
}

fn shift(unit: &str) -> Option<u32> {
    Some(match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_two() {
        for (text, bytes) in [
            ("128B", 128),
            ("16", 16),
            ("1KB", 1024),
            ("2KiB", 2048),
            ("1m", 1 << 20),
            ("1GB", 1 << 30),
            ("-1", -1),
            ("", -1),
        ] {
            assert_eq!(signed_size(text), Ok(bytes), "{text}");
        }
        for text in ["1X", "B", "1.5KB", "99999999999999999999", "9223372036854775807K"] {
            assert!(signed_size(text).is_err(), "{text}");
        }
        assert!(size("0").is_err());
    }
}
