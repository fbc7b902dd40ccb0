//! `quicast cc`: which congestion controllers a running server's connections have, and others for them.
//!
//! It asks the server's admin address, and knows no controller by itself: what the server has registered can be asked for.

pub(crate) mod arguments;
pub(crate) mod client;
mod set;
mod show;
mod table;
mod watch;

use serde_json::Value;

use self::arguments::{Cc, Command, Rules};
use self::client::Client;
use crate::echo::or_interrupt;
use crate::error::Failure;
use crate::out;

/// Carries the command out.
pub(crate) async fn run(arguments: Cc) -> Result<(), Failure> {
    let reach = arguments.reach;
    let client = Client::new(&reach.admin, reach.token_file.as_deref())?;
    or_interrupt(carry_out(&client, arguments.command, reach.json)).await
}

async fn carry_out(client: &Client, command: Command, json: bool) -> Result<(), Failure> {
    let say = |answer: &Value, people: fn(&Value)| if json { out::line(answer) } else { people(answer) };
    match command {
        Command::List => say(&client.get("/api/v1/congestion/algorithms").await?, show::algorithms),
        Command::Show { id: None } => say(&client.get("/api/v1/congestion?seconds=1").await?, show::groups),
        Command::Show { id: Some(id) } => say(&client.get(&of_connection(id)).await?, show::connection),
        Command::History { id: None } => say(&client.get("/api/v1/congestion/changes").await?, show::changes),
        Command::History { id: Some(id) } => say(&client.get(&of_connection(id)).await?, show::history),
        Command::Set(arguments) => return set::run(client, &arguments, json).await,
        Command::Shadow(arguments) => return set::shadow(client, &arguments, json).await,
        Command::Undo { number } => {
            let undone = client.delete(&format!("/api/v1/congestion/changes/{number}?by=cli")).await?;
            say(&undone, show::undone);
            return set::nothing_refused(&undone);
        }
        Command::Watch => return watch::run(client, json).await,
        Command::Rules { command: None | Some(Rules::Show) } => {
            say(&client.get("/api/v1/congestion/rules").await?, show::rules);
        }
        Command::Rules { command: Some(Rules::Set { file, dry_run }) } => {
            let rules = set::rules_of(&file, dry_run)?;
            say(&client.put("/api/v1/congestion/rules", &rules).await?, show::rules_set);
        }
    }
    Ok(())
}

fn of_connection(id: u64) -> String {
    format!("/api/v1/connections/{id}/congestion")
}
