//! `peer compare`.

use fedsx_admin::proto;
use fedsx_core::limits::INTEGER_MAX;
use fedsx_core::value::{Map, Value};

use super::super::connect::connect;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::stdout;

/// Asks for it and tells what was mended.
pub(super) async fn run(global: &Global, who: String) -> anyhow::Result<()> {
    let client = connect(global).await?;
    let request = proto::CompareFollowersRequest { who };
    let compared = client.compare_followers(request).await;
    let compared = compared.map_err(Failure::from)?;
    let members = [
        ("listed", compared.listed),
        ("here", compared.here),
        ("asked", compared.asked),
        ("undone", compared.undone),
        ("left", compared.left),
    ];
    let value: Map = members
        .map(|(member, count)| {
            (
                member,
                Value::from(i64::try_from(count).unwrap_or(INTEGER_MAX)),
            )
        })
        .into();
    stdout(global.output).one(&value, || page(&compared))?;
    Ok(())
}

fn page(compared: &proto::CompareFollowersResponse) -> String {
    let proto::CompareFollowersResponse {
        listed,
        here,
        asked,
        undone,
        left,
    } = compared;
    let mut page = format!("followers from here: {here}; by the other server: {listed}");
    for (count, what) in [
        (asked, "asked to follow anew"),
        (undone, "taken back that only the other server knew of"),
        (left, "left alone: too new, on its way, or of nobody here"),
    ] {
        if *count > 0 {
            page.push_str(&format!("\n  {count} {what}"));
        }
    }
    if asked + undone + left == 0 {
        page.push_str("\n  nothing to mend");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_mended_is_told() {
        let nothing = proto::CompareFollowersResponse {
            listed: 2,
            here: 2,
            ..Default::default()
        };
        let much = proto::CompareFollowersResponse {
            listed: 3,
            here: 2,
            asked: 1,
            undone: 2,
            left: 1,
        };
        insta::assert_snapshot!([page(&nothing), page(&much)].join("\n"), @r"
        followers from here: 2; by the other server: 2
          nothing to mend
        followers from here: 2; by the other server: 3
          1 asked to follow anew
          2 taken back that only the other server knew of
          1 left alone: too new, on its way, or of nobody here
        ");
    }
}
