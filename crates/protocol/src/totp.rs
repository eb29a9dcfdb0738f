//! One-time codes from a seed and the time (RFC 6238): six digits, 30 seconds, SHA-1, as all authenticator apps
//! support.

use totp_rs::{Builder, Totp};

use crate::UnixTime;

/// The length of a new seed in bytes, which is that of the hash (RFC 4226 §4).
pub const SEED_BYTES: usize = 20;
/// How many steps before and after the current one are accepted, because clocks differ and typing takes time (RFC 6238
/// §5.2).
const SKEW_STEPS: u16 = 1;

/// Returns the step of a code, if the code is currently valid. Callers must not accept a code of that step again.
pub fn find_step(seed: &[u8], code: &str, now: UnixTime) -> Option<i64> {
    let step = builder(seed).build().ok()?.check(code, u64::try_from(now).ok()?)?;
    i64::try_from(step).ok()
}

/// A seed for an app, in base32 and as a URI for a QR code. It has no `Debug`.
pub struct Enrolment(Totp);

impl Enrolment {
    /// Creates an enrolment of `login` at `issuer`. Apps use a colon as the separator, so a colon in either becomes a
    /// space.
    pub fn new(seed: &[u8], issuer: &str, login: &str) -> Option<Self> {
        let plain = |text: &str| text.replace(':', " ");
        builder(seed).with_issuer(Some(plain(issuer))).with_account_name(plain(login)).build().ok().map(Self)
    }

    /// Returns the seed in base32, for users who cannot scan.
    pub fn secret(&self) -> String {
        self.0.secret().to_base32()
    }

    /// Returns the `otpauth://totp/…` URI.
    pub fn uri(&self) -> Option<String> {
        self.0.to_url().ok()
    }
}

fn builder(seed: &[u8]) -> Builder {
    Builder::new().with_secret(seed).with_skew(SKEW_STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    #[test]
    fn the_codes_match_rfc_6238_appendix_b() {
        for (now, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(find_step(SEED, code, now), Some(now / 30));
        }
    }

    #[test]
    fn a_code_is_accepted_one_step_early_or_late_and_its_step_returned() {
        // 359152 is the code of step 2, which lasts from 60 to 89.
        for (now, heard) in [(29, false), (30, true), (60, true), (89, true), (119, true), (120, false)] {
            assert_eq!(find_step(SEED, "359152", now), heard.then_some(2), "{now}");
        }
        for bad in ["", "28708", "2870822", "28708a", "٢٨٧٠٨٢", " 287082"] {
            assert_eq!(find_step(SEED, bad, 59), None, "{bad}");
        }
        assert_eq!(find_step(SEED, "287082", -1), None);
    }

    #[test]
    fn an_enrolment_is_an_otpauth_uri() {
        let enrolment = Enrolment::new(SEED, "127.0.0.1:8080", "Ada & Co: x").expect("enrols");
        let uri = enrolment.uri().expect("an address");
        assert_eq!(enrolment.secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(uri.starts_with("otpauth://totp/127.0.0.1%208080:Ada%20%26%20Co%20%20x?secret=GEZD"), "{uri}");
    }
}
