//! The life of a certificate: loaded, renewed, broken, expiring.

use std::sync::Arc;

use countersign_protocol::issuer::Issuer;
use countersign_server::config;
use countersign_server::http::tls::{Reread, Tls};
use countersign_testkit::{CertificateFiles, Certified, START, TestAuthority};

const DAY: i64 = 24 * 3600;

fn read(files: &CertificateFiles) -> Arc<Tls> {
    let section = config::Tls { cert: Some(files.cert()), key: Some(files.key()) };
    let issuer = Issuer::parse("https://auth.example.net").unwrap();
    Tls::read(section.files().unwrap(), &issuer, START).unwrap().expect("both files are set")
}

fn until(not_after: i64) -> (TestAuthority, Certified) {
    let authority = TestAuthority::default();
    let certified = authority.certify_for("auth.example.net", 0, u64::try_from(not_after).unwrap());
    (authority, certified)
}

#[test]
fn each_certificate_change_is_reported_once_and_a_broken_one_is_not_loaded() {
    let (authority, first) = until(START + 365 * DAY);
    let files = CertificateFiles::of(&first);
    let tls = read(&files);
    assert!(matches!(tls.reread(START), Reread::Same));
    let second = authority.certify("auth.example.net");
    // As if a renewal writes one file after the other.
    files.write(&Certified { key: second.key.clone(), ..first });
    assert!(matches!(tls.reread(START), Reread::Refused(error) if error.to_string().contains("key.pem: ")));
    assert!(matches!(tls.reread(START), Reread::Same), "reported once");
    files.write(&second);
    assert!(matches!(tls.reread(START), Reread::Replaced));
    assert!(matches!(tls.reread(START), Reread::Same));
    std::fs::remove_file(files.cert()).unwrap();
    assert!(matches!(tls.reread(START), Reread::Refused(error) if error.to_string().contains("cert.pem: ")));
    assert!(matches!(tls.reread(START), Reread::Same));
    files.write(&second);
    assert!(matches!(tls.reread(START), Reread::Replaced), "valid again");
}

#[test]
fn a_certificate_is_loaded_once_it_becomes_valid() {
    let (authority, first) = until(START + 365 * DAY);
    let files = CertificateFiles::of(&first);
    let tls = read(&files);
    let begins = START + 60;
    files.write(&authority.certify_for("auth.example.net", u64::try_from(begins).unwrap(), 4_000_000_000));
    assert!(matches!(tls.reread(START), Reread::Refused(_)));
    assert!(matches!(tls.reread(begins - 1), Reread::Same));
    assert!(matches!(tls.reread(begins), Reread::Replaced));
}

#[test]
fn expiry_is_warned_of_daily_from_fourteen_days_before() {
    let end = START + 20 * DAY;
    let (authority, first) = until(end);
    let files = CertificateFiles::of(&first);
    let tls = read(&files);
    assert_eq!(tls.ending_s(START), None);
    assert_eq!(tls.ending_s(end - 14 * DAY - 1), None);
    assert_eq!(tls.ending_s(end - 14 * DAY), Some(14 * DAY));
    assert_eq!(tls.ending_s(end - 14 * DAY + 5), None);
    assert_eq!(tls.ending_s(end - 13 * DAY), Some(13 * DAY));
    assert_eq!(tls.ending_s(end + 60), Some(-60), "also after the expiry");
    files.write(&authority.certify("auth.example.net"));
    assert!(matches!(tls.reread(end + 70), Reread::Replaced));
    assert_eq!(tls.ending_s(end + 2 * DAY), None);
}

#[test]
fn a_certificate_for_another_host_is_reported() {
    let authority = TestAuthority::default();
    let files = CertificateFiles::of(&authority.certify("auth.example.net"));
    let tls = read(&files);
    assert_eq!(tls.unnamed_host(), None);
    for (name, is_named) in [("*.example.net", true), ("other.example", false), ("127.0.0.1", false)] {
        files.write(&authority.certify(name));
        assert!(matches!(tls.reread(START), Reread::Replaced));
        assert_eq!(tls.unnamed_host().is_none(), is_named, "{name}");
    }
}
