//! The calls for a user's own account: sign-in and sign-out, the password, the second factor, the sessions.

mod one_time_code;
mod own_password;
mod package;
pub(crate) mod password;
pub(crate) mod second_factor;
pub(crate) mod sessions;
pub(crate) mod sign_in;
mod sign_in_id;
