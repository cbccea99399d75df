//! A password, from where libpq takes it: PGPASSWORD, then the password file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_postgres::config::Host;

/// The password for a server, if it is in the environment or in the file. None is no mistake: servers may want none.
pub(super) fn find(config: &tokio_postgres::Config) -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(password) = set("PGPASSWORD") {
        return Some(password);
    }
    let path = set("PGPASSFILE").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".pgpass")))?;
    let mode = std::fs::metadata(&path).ok()?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!("{} can be read by others, and is left alone: chmod 600 it", path.display());
        return None;
    }
    let host = match config.get_hosts().first()? {
        Host::Tcp(name) => name.clone(),
        Host::Unix(_) => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().map_or_else(|| set("USER").unwrap_or_default(), str::to_owned);
    let database = config.get_dbname().unwrap_or(&user).to_owned();
    look_up(&std::fs::read_to_string(&path).ok()?, &[&host, &port, &database, &user])
}

/// The password of the first line whose four fields are those of `wanted`, or `*`.
fn look_up(file: &str, wanted: &[&str; 4]) -> Option<String> {
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let (password, named) = fields.split_last()?;
        let fits = named.len() == 4 && named.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| password.clone())
    })
}

/// The fields of a line, which end at colons; a backslash takes the next character as it is.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => field.extend(characters.next()),
            ':' => fields.push(std::mem::take(&mut field)),
            _ => field.push(character),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let file = "# team\nother:5432:team:ann:no\ndb:*:team:ann:a\\:b\\\\c\ndb:5432:*:*:later\n";
        assert_eq!(look_up(file, &["db", "5432", "team", "ann"]).as_deref(), Some("a:b\\c"));
        assert_eq!(look_up(file, &["db", "5432", "team", "bob"]).as_deref(), Some("later"));
        assert_eq!(look_up(file, &["db", "5433", "team", "bob"]), None);
        assert_eq!(look_up("too:few\n\n", &["db", "5432", "team", "ann"]), None);
    }
}
