//! Client authentication: what a client presented, and whether it is right (RFC 6749 §2.3).

use std::hint::black_box;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConditionallySelectable;
use zeroize::Zeroizing;

use crate::UnixTime;
use crate::client::{Client, ClientAuthMethod, Credential, MAX_CREDENTIALS, MayAsk};
use crate::form::{Form, decode};
use crate::ids::ClientId;
use crate::refusal::{CredentialName, Refusal};
use crate::secret::{CLIENT_SECRET_PREFIX, Secret, SecretHash};
use crate::status::Status;

/// A placeholder for an unknown client, with the maximum number of credentials. No secret has an all-zero hash.
static NOBODY: LazyLock<Client> = LazyLock::new(|| {
    let credential = Credential {
        id: "cred_0000000000000000".to_owned(),
        label: String::new(),
        secret_hash: SecretHash::from_array([0; 32]),
        not_before: 0,
        expires_at: None,
    };
    Client {
        id: ClientId::nobody(),
        name: String::new(),
        auth_methods: ClientAuthMethod::ALL.into_iter().collect(),
        credentials: std::iter::repeat_n(credential, MAX_CREDENTIALS).collect(),
        may_ask: MayAsk::new(),
        may_introspect: Vec::new(),
        limits: None,
        status: Status::Active,
        epoch: 0,
        removals: Box::default(),
    }
});

/// What was presented. It is a claim that was not checked yet.
#[derive(Debug)]
pub struct ClientAuthentication {
    /// The authentication method.
    pub method: ClientAuthMethod,
    /// The claimed client_id.
    pub client_id: String,
    /// The secret.
    pub secret: Secret,
}

/// Parses what was presented in the `Authorization` headers and the body.
pub fn parse(authorizations: &[&[u8]], form: &Form) -> Result<ClientAuthentication, Refusal> {
    let (client_id, secret) = (form.find("client_id"), form.find("client_secret"));
    match authorizations {
        [] => match (client_id, secret) {
            (Some(client_id), Some(secret)) => Ok(ClientAuthentication {
                method: ClientAuthMethod::ClientSecretPost,
                client_id: client_id.to_owned(),
                secret: Secret::new(secret),
            }),
            _ => Err(Refusal::NotAuthenticated),
        },
        [_] if secret.is_some() => Err(Refusal::TwoAuthentications),
        [header] => {
            let presented = parse_basic(header)?;
            match client_id {
                Some(other) if other != presented.client_id => Err(Refusal::ClientIdMismatch),
                _ => Ok(presented),
            }
        }
        _ => Err(Refusal::SeveralAuthorizations),
    }
}

/// Decodes Basic credentials, whose halves are form-encoded before base64 (RFC 6749 §2.3.1).
fn parse_basic(header: &[u8]) -> Result<ClientAuthentication, Refusal> {
    let text = std::str::from_utf8(header).map_err(|_| Refusal::MalformedBasic)?.trim();
    let (scheme, encoded) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Refusal::UnknownScheme);
    }
    let pair = STANDARD.decode(encoded.trim_start()).map(Zeroizing::new).map_err(|_| Refusal::MalformedBasic)?;
    let colon = pair.iter().position(|byte| *byte == b':').ok_or(Refusal::MalformedBasic)?;
    let half = |bytes: &[u8]| decode(bytes).map_err(|_| Refusal::MalformedBasic);
    let (client_id, secret) = (half(&pair[..colon])?, half(&pair[colon + 1..])?);
    Ok(ClientAuthentication {
        method: ClientAuthMethod::ClientSecretBasic,
        client_id: client_id.to_string(),
        secret: Secret::new(secret.as_str()),
    })
}

/// Checks what was presented against the registered client, if there is one.
///
/// Every refusal does the same work, whether or not the client exists, so that the response time does not reveal which
/// clients exist: one hash, [`MAX_CREDENTIALS`] comparisons, one checksum, no additional allocation (`cargo xtask bench
/// timing`). The reason is only for the log. All refusals look the same to the caller.
pub fn check<'c>(
    presented: &ClientAuthentication,
    registered: Option<&'c Client>,
    now: UnixTime,
) -> Result<&'c Credential, Refusal> {
    let hash = presented.secret.hash();
    let client = registered.unwrap_or(&NOBODY);
    let found = find_credential(&client.credentials, &hash);
    let credential = found.unwrap_or(&NOBODY.credentials[0]);
    let faults = Faults {
        unknown: registered.is_none(),
        wrong: found.is_none(),
        method: !client.auth_methods.contains(presented.method),
        early: now < credential.not_before,
        expired: now >= credential.expires_at.unwrap_or(UnixTime::MAX),
        disabled: client.status == Status::Disabled,
    };
    match found {
        Some(credential) if !faults.any() => Ok(credential),
        _ => Err(refuse(faults, presented, credential)),
    }
}

/// The results of all checks.
struct Faults {
    unknown: bool,
    wrong: bool,
    method: bool,
    early: bool,
    expired: bool,
    disabled: bool,
}

impl Faults {
    fn any(&self) -> bool {
        self.unknown | self.wrong | self.method | self.early | self.expired | self.disabled
    }
}

/// Compares with the maximum number of credentials, using placeholders for missing ones. Which of the two is compared
/// is looked up, without a branch.
fn find_credential<'c>(credentials: &'c [Credential], hash: &SecretHash) -> Option<&'c Credential> {
    let spare: &[Credential] = &NOBODY.credentials;
    let present = if credentials.is_empty() { spare } else { credentials };
    let mut found = usize::MAX;
    for index in 0..MAX_CREDENTIALS.max(credentials.len()) {
        let either = [&spare[index.min(spare.len() - 1)], &present[index.min(present.len() - 1)]];
        let compared = black_box(either)[usize::from(index < credentials.len())];
        found = if compared.secret_hash.matches(hash) { index } else { found };
    }
    credentials.get(found)
}

/// Returns the first fault. All refusals are created and one is chosen without a branch, so that they take the same
/// time.
fn refuse(faults: Faults, presented: &ClientAuthentication, credential: &Credential) -> Refusal {
    let mistyped = is_mistyped(presented.secret.expose());
    let id = name(&credential.id);
    let ordered = [
        (faults.disabled, Refusal::ClientDisabled),
        (faults.expired, Refusal::ExpiredSecret(id)),
        (faults.early, Refusal::SecretNotYetValid(id)),
        (faults.method, Refusal::AuthMethodNotRegistered(presented.method.as_str())),
        (faults.wrong, Refusal::WrongSecret),
        (faults.wrong & mistyped, Refusal::MistypedSecret),
        (faults.unknown, Refusal::UnknownClient),
    ];
    let mut first = 0;
    for (number, (fault, _)) in (0u8..).zip(&ordered) {
        first = u8::conditional_select(&first, &number, u8::from(*fault).into());
    }
    let mut refusals = black_box(ordered.map(|(_, refusal)| refusal));
    refusals.swap(0, usize::from(first));
    let [refusal, ..] = refusals;
    refusal
}

/// Returns an ID, truncated if it is longer than any that the server creates.
fn name(id: &str) -> CredentialName {
    let mut name = CredentialName::new();
    let fits = id.floor_char_boundary(name.capacity());
    name.push_str(&id[..fits]);
    name
}

fn is_mistyped(secret: &str) -> bool {
    secret.starts_with(CLIENT_SECRET_PREFIX) && !Secret::is_well_formed(CLIENT_SECRET_PREFIX, secret)
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::secret::work;

    const SECRET: &str = "a secret made elsewhere: 100% + é";

    fn present(header: Option<&str>, body: &str) -> Result<ClientAuthentication, Refusal> {
        let form = Form::parse(body.as_bytes()).expect("a form");
        let headers: Vec<&[u8]> = header.iter().map(|text| text.as_bytes()).collect();
        parse(&headers, &form)
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    fn client() -> Client {
        Client {
            id: ClientId::parse("job").expect("an id"),
            name: "Job".to_owned(),
            auth_methods: ClientAuthMethod::ALL.into_iter().collect(),
            credentials: smallvec![Credential {
                id: "c1".to_owned(),
                label: String::new(),
                secret_hash: SecretHash::of(SECRET),
                not_before: 100,
                expires_at: Some(200),
            }],
            may_ask: MayAsk::new(),
            may_introspect: Vec::new(),
            limits: None,
            status: Status::Active,
            epoch: 1,
            removals: Box::default(),
        }
    }

    fn presented(secret: &str) -> ClientAuthentication {
        let method = ClientAuthMethod::ClientSecretPost;
        ClientAuthentication { method, client_id: "job".to_owned(), secret: Secret::new(secret) }
    }

    #[test]
    fn basic_credentials_are_split_at_the_first_colon_and_form_decoded() {
        let found = present(Some(&basic("job%3A1:100%25+%2B+%C3%A9:x")), "").expect("presented");
        assert_eq!((found.client_id.as_str(), found.secret.expose()), ("job:1", "100% + é:x"));
        let found = present(Some(&basic("job:s").replace("Basic", "bAsIc ")), "client_id=job").expect("presented");
        assert_eq!((found.client_id.as_str(), found.secret.expose()), ("job", "s"));
    }

    #[test]
    fn every_malformed_authentication_has_its_own_refusal() {
        let rows = [
            (None, "", Refusal::NotAuthenticated),
            (None, "client_id=job", Refusal::NotAuthenticated),
            (None, "client_secret=s", Refusal::NotAuthenticated),
            (Some("Basic".to_owned()), "", Refusal::MalformedBasic),
            (Some("Basic ???".to_owned()), "", Refusal::MalformedBasic),
            (Some(basic("no colon")), "", Refusal::MalformedBasic),
            (Some(basic("a:%zz")), "", Refusal::MalformedBasic),
            (Some("Bearer x".to_owned()), "", Refusal::UnknownScheme),
            (Some(basic("job:s")), "client_secret=s", Refusal::TwoAuthentications),
            (Some(basic("job:s")), "client_id=other", Refusal::ClientIdMismatch),
        ];
        for (header, body, refusal) in rows {
            assert_eq!(present(header.as_deref(), body).err(), Some(refusal), "{header:?} {body}");
        }
        let form = Form::parse(b"").expect("a form");
        assert_eq!(parse(&[b"Basic eDp5", b"Basic eDp5"], &form).err(), Some(Refusal::SeveralAuthorizations));
    }

    #[test]
    fn a_secret_is_valid_until_the_second_before_it_expires() {
        let client = client();
        let judge = |now| check(&presented(SECRET), Some(&client), now).map(|found| found.id.clone());
        assert_eq!(judge(99), Err(Refusal::SecretNotYetValid(name("c1"))));
        assert_eq!(judge(100), Ok("c1".to_owned()));
        assert_eq!(judge(199), Ok("c1".to_owned()));
        assert_eq!(judge(200), Err(Refusal::ExpiredSecret(name("c1"))));
    }

    #[test]
    fn every_failed_authentication_has_its_own_refusal() {
        let mut client = client();
        let judge = |client: Option<&Client>, secret: &str| check(&presented(secret), client, 150).err();
        assert_eq!(judge(None, SECRET), Some(Refusal::UnknownClient));
        assert_eq!(judge(Some(&client), "wrong"), Some(Refusal::WrongSecret));
        assert_eq!(judge(Some(&client), "cs_secret_abc"), Some(Refusal::MistypedSecret));
        client.status = Status::Disabled;
        assert_eq!(judge(Some(&client), SECRET), Some(Refusal::ClientDisabled));
        client.auth_methods = [ClientAuthMethod::ClientSecretBasic].into_iter().collect();
        assert_eq!(judge(Some(&client), SECRET), Some(Refusal::AuthMethodNotRegistered("client_secret_post")));
        client.credentials.clear();
        assert_eq!(judge(Some(&client), ""), Some(Refusal::WrongSecret));
    }

    /// The work of [`check`] and its result: hashes, comparisons, checksums.
    fn work_of(secret: &str, client: Option<&Client>, now: UnixTime) -> ([usize; 3], Option<Refusal>) {
        let presented = presented(secret);
        work::take();
        let refusal = check(&presented, client, now).err();
        (work::take(), refusal)
    }

    #[test]
    fn every_refusal_does_the_same_work_whether_or_not_the_client_exists() {
        let ours = Secret::from_random(CLIENT_SECRET_PREFIX, &[7; 32]);
        let mistyped = format!("{}!", ours.expose());
        let known = client();
        let mut many = client();
        many.credentials = std::iter::repeat_n(known.credentials[0].clone(), MAX_CREDENTIALS).collect();
        let mut none = client();
        none.credentials.clear();
        let mut right = client();
        right.credentials[0].secret_hash = ours.hash();
        let mut disabled = right.clone();
        disabled.status = Status::Disabled;
        let mut basic_only = right.clone();
        basic_only.auth_methods = [ClientAuthMethod::ClientSecretBasic].into_iter().collect();
        let kinds = [
            (ours.expose(), None, 150, Refusal::UnknownClient),
            (ours.expose(), Some(&known), 150, Refusal::WrongSecret),
            (ours.expose(), Some(&many), 150, Refusal::WrongSecret),
            (ours.expose(), Some(&none), 150, Refusal::WrongSecret),
            (&mistyped, None, 150, Refusal::UnknownClient),
            (&mistyped, Some(&known), 150, Refusal::MistypedSecret),
            (ours.expose(), Some(&right), 99, Refusal::SecretNotYetValid(name("c1"))),
            (ours.expose(), Some(&right), 200, Refusal::ExpiredSecret(name("c1"))),
            (ours.expose(), Some(&disabled), 150, Refusal::ClientDisabled),
            (ours.expose(), Some(&basic_only), 150, Refusal::AuthMethodNotRegistered("client_secret_post")),
        ];
        for (secret, client, now, refusal) in kinds {
            assert_eq!(work_of(secret, client, now), ([1, MAX_CREDENTIALS, 1], Some(refusal)));
        }
        // An imported secret has no checksum, whether or not the client is known.
        for client in [None, Some(&known)] {
            assert_eq!(work_of("made elsewhere", client, 150).0, [1, MAX_CREDENTIALS, 0]);
        }
    }

    #[test]
    fn the_tenth_credential_works_and_so_does_one_more_that_is_stored() {
        let mut client = client();
        let other = Credential { secret_hash: SecretHash::of("other"), ..client.credentials[0].clone() };
        for before in [MAX_CREDENTIALS - 2, 2] {
            client.credentials.insert_many(0, std::iter::repeat_n(other.clone(), before));
            assert!(check(&presented(SECRET), Some(&client), 150).is_ok(), "{} credentials", client.credentials.len());
        }
    }
}
