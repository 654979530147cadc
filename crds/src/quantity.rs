//! Sizes as users write them: `524288`, `512Ki`, `1.5Mi`, `1e6`, the same that Kubernetes reads everywhere.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a size in bytes: write a number with or without unit, like 524288, 512Ki or 1Gi")]
pub struct QuantityError(String);

/// A number of bytes, kept as it was written so that an object reads back unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ByteQuantity {
    /// A plain number of bytes.
    Bytes(i64),
    /// A number with a unit: `Ki`, `Mi`, `Gi`, `k`, `M`, `G` and so on, or an exponent.
    Text(String),
}

impl ByteQuantity {
    /// The size in bytes, rounded up; what is beyond `i64` counts as the largest `i64`.
    ///
    /// The server has checked what comes from a resource, so an error means that the object was stored before the rule.
    pub fn bytes(&self) -> Result<u64, QuantityError> {
        match self {
            Self::Bytes(bytes) => u64::try_from(*bytes).ok().ok_or_else(|| QuantityError(bytes.to_string())),
            Self::Text(text) => parse(text).ok_or_else(|| QuantityError(text.chars().take(40).collect())),
        }
    }
}

impl From<&str> for ByteQuantity {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for ByteQuantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(out),
            Self::Text(text) => text.fmt(out),
        }
    }
}

impl JsonSchema for ByteQuantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteQuantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": 20 })
    }
}

const LARGEST: u128 = i64::MAX as u128;

fn parse(text: &str) -> Option<u64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 30 || fraction.contains('.') {
        return None;
    }
    let digits: u128 = digits.parse().ok()?;
    if text.starts_with('-') && digits > 0 {
        return None;
    }
    let places = i32::try_from(fraction.len()).ok()?;
    let (exponent, factor) = match suffix {
        "" => (0, 1),
        "n" => (-9, 1),
        "u" => (-6, 1),
        "m" => (-3, 1),
        "k" => (3, 1),
        "M" => (6, 1),
        "G" => (9, 1),
        "T" => (12, 1),
        "P" => (15, 1),
        "E" => (18, 1),
        "Ki" => (0, 1_u128 << 10),
        "Mi" => (0, 1 << 20),
        "Gi" => (0, 1 << 30),
        "Ti" => (0, 1 << 40),
        "Pi" => (0, 1 << 50),
        "Ei" => (0, 1 << 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse::<i16>().ok()?.into(), 1),
    };
    let value = scaled(digits.saturating_mul(factor), exponent - places);
    u64::try_from(value.min(LARGEST)).ok()
}

/// `number` times ten to the `power`, rounded up.
fn scaled(number: u128, power: i32) -> u128 {
    let ten = 10_u128.checked_pow(power.unsigned_abs());
    match (power < 0, ten) {
        (false, Some(ten)) => number.saturating_mul(ten),
        (false, None) => {
            if number == 0 {
                0
            } else {
                u128::MAX
            }
        }
        (true, Some(ten)) => number.div_ceil(ten),
        (true, None) => u128::from(number > 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_those_of_kubernetes() {
        for (text, bytes) in [
            ("0", 0),
            ("524288", 524_288),
            ("512Ki", 524_288),
            ("1.5Mi", 1_572_864),
            (".5Ki", 512),
            ("1.", 1),
            ("10M", 10_000_000),
            ("1e3", 1_000),
            ("1E3", 1_000),
            ("1E", 1_000_000_000_000_000_000),
            ("+1k", 1_000),
            ("-0", 0),
            ("1n", 1),
            ("1500m", 2),
            ("9e99", i64::MAX.cast_unsigned()),
            ("100Ei", i64::MAX.cast_unsigned()),
            ("1e-300", 1),
        ] {
            assert_eq!(ByteQuantity::from(text).bytes(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", ".", "512KB", "1 Mi", "1.2.3", "Ki", "-1", "1e", "1Kii", "0x10", "1i", "e3"] {
            assert!(ByteQuantity::from(text).bytes().is_err(), "{text}");
        }
        assert!(ByteQuantity::Bytes(-1).bytes().is_err());
    }

    #[test]
    fn numbers_and_texts_keep_their_form() {
        for json in ["524288", "\"512Ki\""] {
            let quantity: ByteQuantity = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&quantity).unwrap(), json);
            assert_eq!(quantity.bytes(), Ok(524_288));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = ByteQuantity::Text(text).bytes();
        }
    }
}
