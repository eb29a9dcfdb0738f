//! The rules for a new password.

use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use crate::limits::{MAX_NEW_PASSWORD_CHARS, MIN_NEW_PASSWORD_CHARS};

/// The message for a password that is easy to guess.
const EASILY_GUESSED: &str =
    "is too easy to guess, because it is similar to a common password; use several unrelated words";

/// The maximum number of characters to score at once. zxcvbn takes more than linear time: a tenth of a second for 32
/// characters at worst, and more than a second for 100.
const SCORED_CHARS: usize = 32;
/// Words that users may put into a password for this server.
const PRODUCT: &str = "countersign";

/// Fails with a message if this cannot be a new password, whatever it contains.
pub fn check_length(password: &Secret) -> Result<(), String> {
    let length = password.expose().chars().count();
    if !(MIN_NEW_PASSWORD_CHARS..=MAX_NEW_PASSWORD_CHARS).contains(&length) {
        return Err(format!("must have {MIN_NEW_PASSWORD_CHARS} to {MAX_NEW_PASSWORD_CHARS} characters"));
    }
    if password.expose().chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

/// Fails if the password is too easy to guess. This takes up to a quarter of a second, so the caller must be
/// authenticated.
pub async fn check_strength(password: &Secret, login: &str) -> Result<Result<(), String>, Refusal> {
    let (password, login) = (password.clone(), login.to_owned());
    // Not in the password queue, because it needs little memory, and must not delay sign-ins.
    let checked = tokio::task::spawn_blocking(move || is_easily_guessed(&password, &login)).await;
    let is_easy = checked.map_err(|_| Refusal::Internal("failed to check a new password".to_owned()))?;
    Ok(if is_easy { Err(EASILY_GUESSED.to_owned()) } else { Ok(()) })
}

/// True for common passwords from zxcvbn's lists, and for passwords that its patterns, the user's name and our own
/// names make as easy to guess (NIST SP 800-63B §5.1.1.2).
fn is_easily_guessed(password: &Secret, login: &str) -> bool {
    let chars: Vec<char> = password.expose().chars().collect();
    let is_easy = |part: &[char]| {
        let part = Zeroizing::new(part.iter().collect::<String>());
        zxcvbn(&part, &[login, PRODUCT]).score() < Score::Three
    };
    // A long password is as strong as its stronger end.
    let (head, tail) = (chars.get(..SCORED_CHARS).unwrap_or(&chars), chars.len().saturating_sub(SCORED_CHARS));
    is_easy(head) && (tail == 0 || is_easy(&chars[tail..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easily_guessed_passwords_are_refused() {
        let is_easily_guessed = |password: &str| is_easily_guessed(&Secret::new(password), "ada.lovelace");
        for bad in [
            "password1234",
            "123456789012",
            "qwertyuiopas",
            "iloveyouiloveyou",
            "manchesterunited",
            "ada.lovelace1",
            "countersign1",
        ] {
            assert!(is_easily_guessed(bad), "{bad}");
        }
        for good in [
            "correct horse",
            "correct horse battery staple",
            "a longer password",
            "tQ8#vN2!pLz0",
            &"xy ".repeat(40).replacen("xy", "quite unrelated words", 1),
        ] {
            assert!(!is_easily_guessed(good), "{good}");
        }
    }
}
