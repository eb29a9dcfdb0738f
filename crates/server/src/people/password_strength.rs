//! What a new password must be.

use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use crate::limits::{MAX_NEW_PASSWORD_CHARS, MIN_NEW_PASSWORD_CHARS};

/// What is said of a new password that is easily guessed.
const EASILY_GUESSED: &str =
    "is too easy to guess, because it is similar to a common password; use several unrelated words";

/// The most characters scored at once. zxcvbn takes longer than linear time: 32 characters take a tenth of a second at worst,
/// and 100 take more than a second.
const SCORED_CHARS: usize = 32;
/// What people put into a password for this server.
const PRODUCT: &str = "countersign";

/// Err, saying what is wrong, if this cannot be somebody's new password whatever it is made of.
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

/// Err within if the password is too easy to guess. It takes up to a quarter of a second: the caller has proved who they are.
pub async fn check_strength(password: &Secret, login: &str) -> Result<Result<(), String>, Refusal> {
    let (password, login) = (password.clone(), login.to_owned());
    // Not in the queue: this takes no memory to speak of, and must not keep others from signing in.
    let checked = tokio::task::spawn_blocking(move || is_easily_guessed(&password, &login)).await;
    let is_easy = checked.map_err(|_| Refusal::Internal("failed to check a new password".to_owned()))?;
    Ok(if is_easy { Err(EASILY_GUESSED.to_owned()) } else { Ok(()) })
}

/// True for a password of zxcvbn's lists of common passwords, or one that its patterns, the user's own name and ours make as
/// easy to guess (NIST SP 800-63B §5.1.1.2).
fn is_easily_guessed(password: &Secret, login: &str) -> bool {
    let chars: Vec<char> = password.expose().chars().collect();
    let is_easy = |part: &[char]| {
        let part = Zeroizing::new(part.iter().collect::<String>());
        zxcvbn(&part, &[login, PRODUCT]).score() < Score::Three
    };
    // A long one is as good as its better end.
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
