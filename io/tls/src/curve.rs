//! Key exchange groups by the names that configuration files use.

use crate::NameError;

/// A group that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the name of a group")]
pub enum Curve {
    X25519MlKem768,
    SecP256r1MlKem768,
    X25519,
    P256,
    P384,
}

const NAMES: [(&str, Curve); 5] = [
    ("X25519MLKEM768", Curve::X25519MlKem768),
    ("SecP256r1MLKEM768", Curve::SecP256r1MlKem768),
    ("X25519", Curve::X25519),
    ("CurveP256", Curve::P256),
    ("CurveP384", Curve::P384),
];

/// Groups the reference accepts and we do not have, each with the one to use instead: never a weaker one of its kind.
const REPLACED: [(&str, &str); 2] = [("CurveP521", "CurveP384"), ("SecP384r1MLKEM1024", "X25519MLKEM768")];

impl Curve {
    /// What a block without `curve_preferences` gets. Best first: what is recorded today stays sealed when quantum
    /// computers come.
    pub const DEFAULT: [Self; 5] =
        [Self::X25519MlKem768, Self::SecP256r1MlKem768, Self::X25519, Self::P256, Self::P384];

    /// The value of `curve_preferences`.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, NameError> {
        let curves = names.into_iter().map(Self::from_name).collect::<Result<Vec<_>, _>>()?;
        if curves.is_empty() { Err(NameError::EmptyCurves) } else { Ok(curves) }
    }

    fn from_name(name: &str) -> Result<Self, NameError> {
        if let Some(&(_, curve)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(curve);
        }
        match REPLACED.iter().find(|(known, _)| *known == name) {
            Some(&(_, instead)) => Err(NameError::UnavailableCurve { name: name.into(), instead }),
            None => Err(NameError::UnknownCurve { name: name.into() }),
        }
    }

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, curve)| *curve == self).map_or("", |&(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_configuration_is_kept() {
        let curves = Curve::from_names(["CurveP384", "X25519MLKEM768", "X25519"]).unwrap();
        assert_eq!(curves, [Curve::P384, Curve::X25519MlKem768, Curve::X25519]);
        for curve in Curve::DEFAULT {
            assert_eq!(Curve::from_name(curve.name()), Ok(curve));
        }
    }

    #[test]
    fn a_curve_we_do_not_have_names_the_one_to_use() {
        let refusal = |name| Curve::from_names([name]).unwrap_err().to_string();
        assert_eq!(refusal("CurveP521"), "curve CurveP521 is not available, use CurveP384");
        assert_eq!(refusal("SecP384r1MLKEM1024"), "curve SecP384r1MLKEM1024 is not available, use X25519MLKEM768");
        assert_eq!(refusal("CurveP192"), "unrecognized curve preference CurveP192");
        let empty = Curve::from_names([]).unwrap_err().to_string();
        assert_eq!(empty, "error parsing tls config, 'curve_preferences' cannot be empty");
    }
}
