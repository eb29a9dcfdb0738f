//! `password`: a client requests a token with a user's name and password (RFC 6749 §4.3). Deprecated (RFC 9700 §2.4).

use crate::grant::Subject;
use crate::refusal::Refusal;
use crate::status::Status;
use crate::token_request::TokenRequest;
use crate::user::User;

/// The parameters of this grant: `username` and `password`, both required.
pub fn parameters(request: &TokenRequest) -> Result<(&str, &crate::secret::Secret), Refusal> {
    let username = request.username.as_deref().ok_or(Refusal::MissingParameter("username"))?;
    let password = request.password.as_ref().ok_or(Refusal::MissingParameter("password"))?;
    Ok((username, password))
}

/// Decides the subject after the password was checked (against a constant hash if there is no such user).
pub fn decide(user: Option<&User>, password_holds: bool) -> Result<Subject, Refusal> {
    let user = user.ok_or(Refusal::UnknownUser)?;
    if !password_holds {
        return Err(Refusal::WrongPassword);
    }
    check_user(user)
}

/// Checks whether this grant, or a refresh of it, is still allowed for the user.
pub fn check_user(user: &User) -> Result<Subject, Refusal> {
    if user.status == Status::Disabled {
        return Err(Refusal::UserDisabled);
    }
    if user.has_second_factor {
        return Err(Refusal::SecondFactor);
    }
    Ok(Subject::User { id: user.id.clone(), login: user.login.clone() })
}
