//! `fedsx actor update`: words and flags.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args};

#[derive(Clone, Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["display_name", "summary", "icon", "icon_file", "image", "manual_approval", "also_known_as", "fields", "members"])]
pub(crate) struct Profile {
    /// Its name
    pub(crate) name: String,
    /// The name shown to people; an empty one takes it away, as with all texts and URLs here
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,
    /// A sentence about it
    #[arg(long, value_name = "TEXT")]
    pub(crate) summary: Option<String>,
    /// A small picture of it
    #[arg(long, value_name = "URL")]
    pub(crate) icon: Option<String>,
    /// A file with a small picture of it, which is kept and served here: PNG, JPEG, GIF or WebP, at most 256 KiB
    #[arg(long, value_name = "FILE", conflicts_with = "icon")]
    pub(crate) icon_file: Option<PathBuf>,
    /// A wide picture above its profile
    #[arg(long, value_name = "URL")]
    pub(crate) image: Option<String>,
    /// Whether follow requests are answered by hand
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    pub(crate) manual_approval: Option<bool>,
    /// Another actor that is the same, which may move its followers here; all of them are to be given
    #[arg(long, value_name = "URL")]
    pub(crate) also_known_as: Option<Vec<String>>,
    /// A line of its profile, such as Pronouns=she; all of them are to be given
    #[arg(long = "field", value_name = "NAME=TEXT")]
    pub(crate) fields: Option<Vec<Field>>,
    /// Other members of its document: JSON or SX, null takes one away; `-` reads it from stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) members: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl FromStr for Field {
    type Err = &'static str;

    /// An empty one says that there is none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, text) = match text.split_once('=') {
            Some(("", _)) => return Err("a line has a name"),
            Some(pair) => pair,
            None if text.is_empty() => ("", ""),
            None => return Err("a line is NAME=TEXT"),
        };
        let (name, text) = (name.to_owned(), text.to_owned());
        Ok(Self { name, text })
    }
}
