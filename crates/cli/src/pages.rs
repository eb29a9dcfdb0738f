//! The routes for people: the playground and its pages, or nothing in a binary that was built without them.

#[cfg(feature = "web")]
pub(crate) use with_web::{check, provide_demo, site};
#[cfg(not(feature = "web"))]
pub(crate) use without_web::{check, provide_demo, site};

#[cfg(feature = "web")]
mod with_web {
    use countersign_server::operations::data_directory::DataDirectory;
    use countersign_server::state::State;
    use countersign_server::{Site, machines};
    use countersign_web::Demo;
    use countersign_web::playground::demo::provide;

    use crate::output::Failure;

    /// Succeeds, because this binary has pages.
    pub(crate) fn check(_: bool) -> Result<(), Failure> {
        Ok(())
    }

    /// Returns all routes of the server.
    pub(crate) fn site(state: &State, has_pages: bool) -> Site {
        if has_pages { countersign_web::site(state) } else { machines(state) }
    }

    /// Creates or loads the demo, and returns the lines to print.
    pub(crate) async fn provide_demo(state: &State, directory: &DataDirectory) -> Result<Vec<String>, Failure> {
        let Demo { file, renewed, has_own_password } = provide(state, directory).await.map_err(Failure::new)?;
        let renewed = renewed.map(|why| {
            format!(
                "demo.json {why}. The client secret and the password are new, and the old password no longer works."
            )
        });
        let password = if has_own_password { "your own password" } else { file.password.expose() };
        let (id, secret, endpoint) = (&file.client_id, file.client_secret.expose(), &file.token_endpoint);
        let lines = [
            format!("Page:     {}", state.issuer),
            format!("Sign-in:  {} / {password}", file.username),
            "Get a token with the client credentials grant:".to_owned(),
            String::new(),
            format!("curl -u {id}:{secret} -d grant_type=client_credentials {endpoint}"),
            String::new(),
        ];
        Ok(renewed.into_iter().chain(lines).collect())
    }
}

#[cfg(not(feature = "web"))]
mod without_web {
    use countersign_server::operations::data_directory::DataDirectory;
    use countersign_server::state::State;
    use countersign_server::{Site, machines};

    use crate::output::Failure;

    const WITHOUT: &str = "this binary was built without the web pages (cargo feature `web`)";

    /// Fails if the configuration needs pages.
    pub(crate) fn check(wants_pages: bool) -> Result<(), Failure> {
        if wants_pages {
            return Err(Failure::new(format!("{WITHOUT}; --demo and playground.enabled need them")));
        }
        Ok(())
    }

    /// Returns the routes for machines.
    pub(crate) fn site(state: &State, _: bool) -> Site {
        tracing::info!("{WITHOUT}");
        machines(state)
    }

    /// Returns nothing: [`check`] has already refused `--demo`.
    pub(crate) async fn provide_demo(_: &State, _: &DataDirectory) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }
}
