//! The stored names of enum variants. Renaming a variant must not change them, because old rows contain them.

use countersign_protocol::client::ClientAuthMethod;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::status::Status;
use countersign_protocol::user::Role;
use countersign_store::{DeviceKind, KeyState};

#[test]
fn stored_names_do_not_depend_on_variant_names() {
    assert_eq!(GrantType::ALL.map(<&str>::from), ["client_credentials", "password", "refresh_token"]);
    assert_eq!(ClientAuthMethod::ALL.map(<&str>::from), ["client_secret_basic", "client_secret_post"]);
    assert_eq!(Algorithm::ALL.map(<&str>::from), ["ES256", "RS256", "EdDSA"]);
    assert_eq!([Status::Active, Status::Disabled].map(<&str>::from), ["active", "disabled"]);
    assert_eq!(<&str>::from(Role::Administrator), "administrator");
    assert_eq!([DeviceKind::Browser, DeviceKind::Client].map(<&str>::from), ["browser", "client"]);
    let states = [KeyState::Pending, KeyState::Active, KeyState::Retiring, KeyState::Retired];
    assert_eq!(states.map(<&str>::from), ["pending", "active", "retiring", "retired"]);
}
