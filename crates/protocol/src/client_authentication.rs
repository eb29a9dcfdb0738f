//! What a client presented to prove who it is, and the judgement of it (RFC 6749 §2.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::UnixTime;
use crate::client::{Client, ClientAuthMethod, Credential, Status};
use crate::form::{Form, decode};
use crate::refusal::Refusal;
use crate::secret::{CLIENT_SECRET_PREFIX, Secret, SecretHash};

/// What is compared where there is no credential: the hash of no known secret.
const NOBODY: SecretHash = SecretHash::from_array([0; 32]);

/// What was presented: a claim, not yet judged.
#[derive(Debug)]
pub struct ClientAuthentication {
    /// How it was presented.
    pub method: ClientAuthMethod,
    /// Who it says it is.
    pub client_id: String,
    /// What it proves it with.
    pub secret: Secret,
}

/// Reads what was presented in the `Authorization` headers and the body.
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

/// Judges what was presented against the registered client, if there is one.
///
/// The presented secret is hashed and compared whether or not the client exists, so that both cost the same. The reason
/// is for the log: every refusal here looks alike to the caller.
pub fn check<'c>(
    presented: &ClientAuthentication,
    registered: Option<&'c Client>,
    now: UnixTime,
) -> Result<&'c Credential, Refusal> {
    let hash = presented.secret.hash();
    let found = find_credential(registered.map_or(&[], |client| &client.credentials), &hash);
    let client = registered.ok_or(Refusal::UnknownClient)?;
    let credential = found.ok_or_else(|| describe_wrong(presented.secret.expose()))?;
    if !client.auth_methods.contains(presented.method) {
        return Err(Refusal::AuthMethodNotRegistered(presented.method.as_str()));
    }
    if now < credential.not_before {
        return Err(Refusal::SecretNotYetValid(credential.id.clone()));
    }
    if credential.expires_at.is_some_and(|end| now >= end) {
        return Err(Refusal::ExpiredSecret(credential.id.clone()));
    }
    match client.status {
        Status::Active => Ok(credential),
        Status::Disabled => Err(Refusal::ClientDisabled),
    }
}

/// Compares with every credential, and with a constant one when there is none.
fn find_credential<'c>(credentials: &'c [Credential], hash: &SecretHash) -> Option<&'c Credential> {
    let mut found = None;
    for credential in credentials {
        if credential.secret_hash.matches(hash) {
            found = Some(credential);
        }
    }
    if credentials.is_empty() {
        std::hint::black_box(NOBODY.matches(hash));
    }
    found
}

fn describe_wrong(secret: &str) -> Refusal {
    let ours = secret.starts_with(CLIENT_SECRET_PREFIX);
    if ours && !Secret::is_well_formed(CLIENT_SECRET_PREFIX, secret) {
        Refusal::MistypedSecret
    } else {
        Refusal::WrongSecret
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::client::{ClientId, MayAsk};

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
    fn basic_credentials_are_form_decoded_and_the_first_colon_divides_them() {
        let found = present(Some(&basic("job%3A1:100%25+%2B+%C3%A9:x")), "").expect("presented");
        assert_eq!((found.client_id.as_str(), found.secret.expose()), ("job:1", "100% + é:x"));
        let found = present(Some(&basic("job:s").replace("Basic", "bAsIc ")), "client_id=job").expect("presented");
        assert_eq!((found.client_id.as_str(), found.secret.expose()), ("job", "s"));
    }

    #[test]
    fn what_is_presented_wrongly_has_a_name() {
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
    fn a_secret_counts_from_its_first_second_to_the_one_before_its_end() {
        let client = client();
        let judge = |now| check(&presented(SECRET), Some(&client), now).map(|found| found.id.clone());
        assert_eq!(judge(99), Err(Refusal::SecretNotYetValid("c1".to_owned())));
        assert_eq!(judge(100), Ok("c1".to_owned()));
        assert_eq!(judge(199), Ok("c1".to_owned()));
        assert_eq!(judge(200), Err(Refusal::ExpiredSecret("c1".to_owned())));
    }

    #[test]
    fn every_other_way_to_be_wrong_has_a_name_too() {
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
}
