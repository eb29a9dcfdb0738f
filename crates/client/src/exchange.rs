//! A request as a pure value. What is displayed is exactly what is sent.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_protocol::client::ClientAuthMethod;
use countersign_protocol::secret::Secret;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use serde::{Serialize, Serializer};
use url::Url;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use crate::endpoints::Endpoint;

/// The placeholder for a secret wherever a request is displayed.
const MASK: &str = "********";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A POST of a form with client authentication, which was not sent yet. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    endpoint: Endpoint,
    fields: Vec<Field>,
}

/// A named value of a request, and its location.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A value that can be displayed, or a secret.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Plain(String),
    Secret(Secret),
}

/// The location of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the `Authorization` header: the client ID and its secret.
    Basic,
    /// In the form.
    Form,
}

/// A value for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// The value itself.
    Plain(&'a str),
    /// A secret.
    Masked,
}

/// A request with every secret shown as `********`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaskedRequest {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers, with lowercase names.
    #[serde(serialize_with = "as_object")]
    pub headers: Vec<(String, String)>,
    /// The form.
    pub body: String,
}

impl PreparedRequest {
    /// Creates a request whose first field determines its kind, followed by the client's own fields.
    pub(crate) fn new(endpoint: &Endpoint, first: (&'static str, Value), client: [Field; 2]) -> Self {
        let mut fields = vec![Field { name: first.0, value: first.1, place: Place::Form }];
        fields.extend(client);
        Self { endpoint: endpoint.clone(), fields }
    }

    /// Adds a field to the form.
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.fields.push(Field { name, value, place: Place::Form });
        self
    }

    /// Adds a field to the form if there is a value.
    pub(crate) fn with_optional(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, Value::Plain(value.to_owned())),
            None => self,
        }
    }

    /// Returns the URL.
    pub fn url(&self) -> &Url {
        &self.endpoint.url
    }

    /// Returns the sent values with their names, in the form or as Basic credentials, in this order: the field that
    /// determines the kind, `client_id`, `client_secret`, the others.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Shown<'_>)> {
        self.fields.iter().map(|field| (field.name, field.value.shown()))
    }

    /// Returns the bytes to send. The transport adds `Host`, `Content-Length` and `User-Agent`.
    pub fn to_http(&self) -> Request<Zeroizing<Vec<u8>>> {
        let mut request = Request::new(Zeroizing::new(self.form(Value::exposed).as_bytes().to_vec()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.uri.clone();
        let headers = request.headers_mut();
        if let Some(pair) = self.basic(Value::exposed) {
            headers.insert(AUTHORIZATION, authorization(&pair));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        request
    }

    /// Returns the request for display.
    pub fn masked(&self) -> MaskedRequest {
        let mut headers = Vec::new();
        if self.basic(Value::masked).is_some() {
            headers.push((AUTHORIZATION.to_string(), format!("Basic {MASK}")));
        }
        headers.push((CONTENT_TYPE.to_string(), FORM.to_owned()));
        headers.push((ACCEPT.to_string(), JSON.to_owned()));
        MaskedRequest {
            method: Method::POST.to_string(),
            url: self.endpoint.uri.to_string(),
            headers,
            body: self.form(Value::masked).to_string(),
        }
    }

    pub(crate) fn parts(&self) -> (String, &[Field]) {
        (self.endpoint.uri.to_string(), &self.fields)
    }

    /// Returns the form (RFC 6749 appendix B), with each value as returned by `text`.
    fn form<'f>(&'f self, text: fn(&'f Value) -> &'f str) -> Zeroizing<String> {
        let fields = || self.fields.iter().filter(|field| field.place == Place::Form);
        // Reserves space for the longest encoding, so that reallocations leave no partial copy of a secret in memory.
        let room = fields().map(|field| field.name.len() + 3 * text(&field.value).len() + 2).sum();
        let mut form = Zeroizing::new(String::with_capacity(room));
        for field in fields() {
            if !form.is_empty() {
                form.push('&');
            }
            form.push_str(field.name);
            form.push('=');
            form.extend(byte_serialize(text(&field.value).as_bytes()));
        }
        form
    }

    /// Returns the Basic credentials. Each half is form-encoded (RFC 6749 §2.3.1), so that a colon in the ID does not
    /// split them.
    fn basic<'f>(&'f self, text: fn(&'f Value) -> &'f str) -> Option<Zeroizing<String>> {
        let fields = || self.fields.iter().filter(|field| field.place == Place::Basic);
        let room = fields().map(|field| 3 * text(&field.value).len() + 1).sum();
        let mut pair = Zeroizing::new(String::with_capacity(room));
        for (index, field) in fields().enumerate() {
            if index > 0 {
                pair.push(':');
            }
            pair.extend(byte_serialize(text(&field.value).as_bytes()));
        }
        fields().next().map(|_| pair)
    }
}

fn authorization(pair: &str) -> HeaderValue {
    let mut text = Zeroizing::new(String::with_capacity("Basic ".len() + pair.len() * 4 / 3 + 4));
    text.push_str("Basic ");
    STANDARD.encode_string(pair, &mut text);
    let mut value = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

impl Field {
    /// Adds the client's ID and secret at the location of its authentication method.
    pub(crate) fn of_client(method: ClientAuthMethod, client_id: &str, secret: &Secret) -> [Self; 2] {
        let place = match method {
            ClientAuthMethod::ClientSecretBasic => Place::Basic,
            ClientAuthMethod::ClientSecretPost => Place::Form,
        };
        [
            Self { name: "client_id", value: Value::Plain(client_id.to_owned()), place },
            Self { name: "client_secret", value: Value::Secret(secret.clone()), place },
        ]
    }
}

impl Value {
    pub(crate) fn exposed(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }

    fn masked(&self) -> &str {
        self.shown().as_str()
    }

    fn shown(&self) -> Shown<'_> {
        match self {
            Self::Plain(text) => Shown::Plain(text),
            Self::Secret(_) => Shown::Masked,
        }
    }
}

impl<'a> Shown<'a> {
    /// Returns the value or `********`.
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Plain(text) => text,
            Self::Masked => MASK,
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn as_object<S: Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use countersign_protocol::client_authentication::parse;
    use countersign_protocol::form::Form;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Client, Endpoints};

    fn client(id: &str, secret: &str) -> Client<()> {
        let endpoints = Endpoints::tenant("https://auth.example", "app").expect("a tenant");
        Client::new(endpoints, id, Secret::new(secret), ())
    }

    fn body(prepared: &PreparedRequest) -> String {
        String::from_utf8(prepared.to_http().body().to_vec()).expect("ASCII")
    }

    fn sent_authorization(prepared: &PreparedRequest) -> String {
        prepared.to_http().headers()[AUTHORIZATION].to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn client_credentials_are_serialized_exactly() {
        let prepared = client("demo-service", "s3cret").prepare_client_credentials(Some("all reports:read"));
        let request = prepared.to_http();
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "https://auth.example/OAuth2/Token/app");
        let headers: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(
            headers,
            [
                ("authorization", b"Basic ZGVtby1zZXJ2aWNlOnMzY3JldA==".as_slice()),
                ("content-type", b"application/x-www-form-urlencoded"),
                ("accept", b"application/json"),
            ]
        );
        assert_eq!(body(&prepared), "grant_type=client_credentials&scope=all+reports%3Aread");
    }

    #[test]
    fn every_other_request_is_serialized_exactly() {
        let client = client("a", "b").with_resource("https://api.example/");
        let password = Secret::new("p&=+% é");
        assert_eq!(
            body(&client.prepare_password("o'brien @x", &password, None)),
            "grant_type=password&resource=https%3A%2F%2Fapi.example%2F&username=o%27brien+%40x\
             &password=p%26%3D%2B%25+%C3%A9"
        );
        let refresh = client.prepare_refresh(&Secret::new("r1"), Some("all"));
        assert_eq!(
            body(&refresh),
            "grant_type=refresh_token&scope=all&resource=https%3A%2F%2Fapi.example%2F&refresh_token=r1"
        );
        let (introspect, revoke) = (client.prepare_introspect(&password), client.prepare_revoke(&Secret::new("t")));
        assert_eq!(introspect.url().path(), "/OAuth2/Introspect/app");
        assert_eq!(body(&introspect), "token=p%26%3D%2B%25+%C3%A9");
        assert_eq!((revoke.url().path(), body(&revoke).as_str()), ("/OAuth2/Revoke/app", "token=t"));
        let post = client.with_auth_method(ClientAuthMethod::ClientSecretPost).prepare_revoke(&Secret::new("t"));
        assert_eq!(body(&post), "token=t&client_id=a&client_secret=b");
        assert!(post.to_http().headers().get(AUTHORIZATION).is_none());
    }

    #[test]
    fn both_parts_of_basic_are_form_encoded_so_that_colons_are_unambiguous() {
        let prepared = client("j:o%b+é ~", "100% + ü").prepare_client_credentials(None);
        let pair = "j%3Ao%25b%2B%C3%A9+%7E:100%25+%2B+%C3%BC";
        assert_eq!(sent_authorization(&prepared), format!("Basic {}", STANDARD.encode(pair)));
    }

    #[test]
    fn the_shown_request_is_the_sent_one_with_every_secret_masked() {
        let password = Secret::new("hunter2-password");
        let prepared = client("demo", "hunter2-client").prepare_password("ann", &password, Some("all"));
        let masked = json!({
            "method": "POST",
            "url": "https://auth.example/OAuth2/Token/app",
            "headers": {
                "authorization": "Basic ********",
                "content-type": "application/x-www-form-urlencoded",
                "accept": "application/json",
            },
            "body": "grant_type=password&scope=all&username=ann&password=********",
        });
        assert_eq!(json!(prepared.masked()).to_string(), masked.to_string());
        let fields: Vec<_> = prepared.fields().map(|(name, shown)| format!("{name}={shown}")).collect();
        assert_eq!(
            fields.join(" "),
            "grant_type=password client_id=demo client_secret=******** scope=all username=ann password=********"
        );
        assert_eq!(json!(Shown::Masked), "********");
        let all = format!("{prepared:?} {:?} {:?}", prepared.masked(), prepared.to_http().headers());
        assert!(!all.contains("hunter2"), "{all}");
        assert!(!all.contains("aHVudGVyMi"), "{all}");
    }

    proptest! {
        #[test]
        fn a_server_parses_the_same_client_and_parameters(
            id in "[^\0]{1,20}", secret in "[^\0]{1,20}", name in "[^\0]{1,20}", scope in "[^\0]{1,20}", in_form: bool,
        ) {
            let methods = ClientAuthMethod::ALL;
            let client = client(&id, &secret).with_auth_method(methods[usize::from(in_form)]);
            let prepared = client.prepare_password(&name, &Secret::new(secret.clone()), Some(&scope));
            let request = prepared.to_http();
            let form = Form::parse(request.body()).expect("a form");
            let headers: Vec<&[u8]> = request.headers().get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
            let presented = parse(&headers, &form).expect("authenticates");
            prop_assert_eq!(presented.method, methods[usize::from(in_form)]);
            prop_assert_eq!((presented.client_id.as_str(), presented.secret.expose()), (id.as_str(), secret.as_str()));
            prop_assert_eq!(form.find("username"), Some(name.as_str()));
            prop_assert_eq!(form.find("password"), Some(secret.as_str()));
            prop_assert_eq!(form.find("scope"), Some(scope.as_str()));
        }
    }
}
