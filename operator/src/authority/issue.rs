//! Making certificates.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::{AUTHORITY_LIFE, LEAF_LIFE, Pair, TakeError, Validity};

/// Clocks of nodes differ: a certificate is valid a little before it was made.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

pub(super) fn authority(now: Timestamp) -> Result<Pair, rcgen::Error> {
    let valid = Validity { from: now, until: now.saturating_add(AUTHORITY_LIFE).unwrap_or(now) };
    let key = KeyPair::generate()?;
    let certificate = authority_params(valid)?.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem(), valid: Some(valid) })
}

/// The same time gives the same parameters, so an authority can be put together again from its key and its dates.
fn authority_params(valid: Validity) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    // Two authorities are published at a time: clients find the right one by its name.
    params.distinguished_name = named(&format!("Leakhound CA {}", valid.from.as_second()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    limit(&mut params, valid);
    Ok(params)
}

pub(super) fn leaf(authority: &Pair, names: &[String], now: Timestamp) -> Result<Pair, TakeError> {
    let of_authority = authority.valid.ok_or(TakeError::Foreign)?;
    let issuer = Issuer::new(authority_params(of_authority)?, KeyPair::from_pem(&authority.key)?);
    let until = now.saturating_add(LEAF_LIFE).unwrap_or(now).min(of_authority.until);
    let valid = Validity { from: now, until };
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = named("leakhound-operator");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    limit(&mut params, valid);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem(), valid: Some(valid) })
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn limit(params: &mut CertificateParams, valid: Validity) {
    let date = |at: Timestamp| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default())
    };
    params.not_before = date(valid.from.saturating_sub(SKEW).unwrap_or(valid.from));
    params.not_after = date(valid.until);
}
