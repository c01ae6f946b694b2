//! Finding the server: by the data directory's `admin.json`, or by `--admin` and `--token-file`.

use std::fs;

use fedsx_admin::client::{Client, ClientError};

use crate::admin_file::AdminFile;
use crate::args::Global;
use crate::failure::Failure;

/// The largest page asked for.
const PAGE: u32 = 1_000;

/// A connection to the server meant.
pub(crate) async fn connect(global: &Global) -> Result<Client, Failure> {
    if let (Some(url), Some(file)) = (&global.admin, &global.token_file) {
        let token = fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("can't read {}: {error}", file.display())))?;
        return Ok(Client::connect(url, token.trim()).await?);
    }
    let dir = &global.data_dir;
    let read = AdminFile::read(dir).map_err(|error| {
        Failure::failed(format!("can't read {}/admin.json: {error}", dir.display()))
    })?;
    let file = read.ok_or_else(|| not_running(global))?;
    match Client::connect(&file.url, &file.token).await {
        // The file of a server that was killed.
        Err(ClientError::Unreachable { .. }) => Err(not_running(global)),
        other => Ok(other?),
    }
}

fn not_running(global: &Global) -> Failure {
    let dir = global.data_dir.display();
    Failure::unreachable(format!(
        "no server is running for {dir}; start one with `fedsx serve --data-dir {dir}`, or name another --data-dir"
    ))
}

/// Asks for page after page until `limit` items have come or there are no more. `page` is given how
/// many to ask for and the token, and says how many came and the next token.
pub(crate) async fn pages(
    limit: u32,
    mut page: impl AsyncFnMut(u32, String) -> anyhow::Result<(usize, String)>,
) -> anyhow::Result<()> {
    let mut left = limit;
    let mut token = String::new();
    while left > 0 {
        let (came, next) = page(left.min(PAGE), token).await?;
        left = left.saturating_sub(u32::try_from(came).unwrap_or(u32::MAX));
        if next.is_empty() {
            break;
        }
        token = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_asked_for_until_there_is_enough() {
        let mut asked = Vec::new();
        pages(2_500, async |limit, token| {
            asked.push((limit, token));
            Ok((900, format!("t{}", asked.len())))
        })
        .await
        .expect("no page fails");
        let expected = [(1_000, ""), (1_000, "t1"), (700, "t2")];
        assert_eq!(
            asked,
            expected.map(|(limit, token)| (limit, token.to_owned()))
        );
        let mut calls = 0;
        pages(10, async |_, _| {
            calls += 1;
            Ok((3, String::new()))
        })
        .await
        .expect("no page fails");
        assert_eq!(calls, 1);
    }
}
