//! Who is connected, and in which room: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::ApiStage;

/// Open connections that are remembered; beyond it, `$connect` is refused.
const CONNECTIONS_MAX: usize = 10_000;

/// Members of one room: each `say` costs one call for each of them.
const MEMBERS_MAX: usize = 200;

/// Length of a room's name, in characters.
const ROOM_CHARS_MAX: usize = 40;

/// Length of what is said at once, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// Life of a connection on the gateway, in seconds, with some to spare: an entry older than that
/// belongs to a `$disconnect` that never came.
const AGE_MAX: u64 = 2 * 3600 + 600;

/// What the authorizer said about a connection's user.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    pub(crate) principal: String,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) issuer: String,
    pub(crate) expires_at: String,
    pub(crate) token_source: String,
    pub(crate) csrf: String,
}

/// One open connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) identity: Identity,
    pub(crate) api: ApiStage,
    /// Epoch seconds.
    pub(crate) opened_at: u64,
    room: Option<String>,
}

impl Connection {
    pub(crate) fn new(identity: Identity, api: ApiStage, opened_at: u64) -> Self {
        Self { identity, api, opened_at, room: None }
    }
}

/// A text for some connections.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announcement {
    pub(crate) targets: Vec<(String, ApiStage)>,
    pub(crate) body: Value,
}

/// What the speaker is told, and what others are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) reply: Value,
    pub(crate) announcements: Vec<Announcement>,
}

impl Answer {
    fn alone(reply: Value) -> Self {
        Self { reply, announcements: Vec::new() }
    }
}

/// Why something could not be done; the text is for the user.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("too many connections")]
    ConnectionsFull,
    #[error("join a room first")]
    RoomAbsent,
    #[error("the room is full")]
    RoomFull,
    #[error("a room needs a name of 1 to 40 characters, none of them a control character")]
    RoomName,
    #[error("say something of 1 to 2000 characters")]
    Text,
}

/// All connections and rooms.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    connections: HashMap<String, Connection>,
    /// Members by room; an empty room does not exist.
    rooms: BTreeMap<String, BTreeSet<String>>,
}

impl Rooms {
    /// Remembers a connection.
    pub(crate) fn connect(
        &mut self,
        id: &str,
        connection: Connection,
    ) -> Result<Vec<Announcement>, Refusal> {
        let mut announcements = Vec::new();
        if CONNECTIONS_MAX <= self.connections.len() {
            announcements = self.forget_old(connection.opened_at);
        }
        if CONNECTIONS_MAX <= self.connections.len() && !self.connections.contains_key(id) {
            return Err(Refusal::ConnectionsFull);
        }
        self.connections.insert(id.to_owned(), connection);
        Ok(announcements)
    }

    /// Whether the connection is known.
    pub(crate) fn is_known(&self, id: &str) -> bool {
        self.connections.contains_key(id)
    }

    /// Forgets a connection and tells its room.
    pub(crate) fn disconnect(&mut self, id: &str) -> Vec<Announcement> {
        let announcements = self.depart(id);
        self.connections.remove(id);
        announcements
    }

    /// Moves a connection to a room, out of the one it was in.
    pub(crate) fn join(&mut self, id: &str, room: &str) -> Result<Answer, Refusal> {
        let room = room.trim();
        if !is_room_name(room) {
            return Err(Refusal::RoomName);
        }
        let Some(connection) = self.connections.get(id) else { return Err(Refusal::RoomAbsent) };
        if connection.room.as_deref() == Some(room) {
            return Ok(Answer::alone(self.joined(room)));
        }
        if self.rooms.get(room).is_some_and(|members| MEMBERS_MAX <= members.len()) {
            return Err(Refusal::RoomFull);
        }
        let body = event("arrived", room, &connection.identity);
        let mut announcements = self.depart(id);
        let targets = self.targets(room);
        if !targets.is_empty() {
            announcements.push(Announcement { targets, body });
        }
        self.rooms.entry(room.to_owned()).or_default().insert(id.to_owned());
        if let Some(connection) = self.connections.get_mut(id) {
            connection.room = Some(room.to_owned());
        }
        Ok(Answer { reply: self.joined(room), announcements })
    }

    /// Takes a connection out of its room.
    pub(crate) fn leave(&mut self, id: &str) -> Result<Answer, Refusal> {
        let room = self.room_of(id)?;
        let announcements = self.depart(id);
        Ok(Answer { reply: json!({ "type": "left", "room": room }), announcements })
    }

    /// Tells a connection what the authorizer said of it, and who is in its room.
    pub(crate) fn who(&self, id: &str) -> Value {
        let Some(connection) = self.connections.get(id) else {
            return json!({ "type": "who", "you": null, "room": null, "members": [] });
        };
        let room = connection.room.as_deref();
        let members = room.map(|room| self.members(room)).unwrap_or_default();
        json!({ "type": "who", "you": connection.identity, "room": room, "members": members })
    }

    /// Says something to everyone in the speaker's room, the speaker too.
    pub(crate) fn say(&self, id: &str, text: &str) -> Result<Announcement, Refusal> {
        let room = self.room_of(id)?;
        let chars = text.chars().take(TEXT_CHARS_MAX + 1).count();
        if text.trim().is_empty() || TEXT_CHARS_MAX < chars {
            return Err(Refusal::Text);
        }
        let connection = self.connections.get(id).ok_or(Refusal::RoomAbsent)?;
        let mut body = event("said", &room, &connection.identity);
        body["text"] = text.into();
        Ok(Announcement { targets: self.targets(&room), body })
    }

    /// The APIs through which `principal` is connected.
    pub(crate) fn apis_of(&self, principal: &str) -> BTreeSet<(String, String)> {
        let theirs = self.connections.values().filter(|c| c.identity.principal == principal);
        theirs.map(|c| (c.api.api_id.clone(), c.api.stage.clone())).collect()
    }

    fn room_of(&self, id: &str) -> Result<String, Refusal> {
        self.connections.get(id).and_then(|c| c.room.clone()).ok_or(Refusal::RoomAbsent)
    }

    fn joined(&self, room: &str) -> Value {
        json!({ "type": "joined", "room": room, "members": self.members(room) })
    }

    /// In the order of their names: that of their connections means nothing.
    fn members(&self, room: &str) -> Vec<Value> {
        let connections = self.ids(room).filter_map(|id| self.connections.get(id));
        let mut names: Vec<_> =
            connections.map(|c| (&c.identity.name, &c.identity.principal)).collect();
        names.sort();
        let member = |(name, principal)| json!({ "principal": principal, "name": name });
        names.into_iter().map(member).collect()
    }

    fn targets(&self, room: &str) -> Vec<(String, ApiStage)> {
        self.ids(room)
            .filter_map(|id| Some((id.clone(), self.connections.get(id)?.api.clone())))
            .collect()
    }

    fn ids(&self, room: &str) -> impl Iterator<Item = &String> {
        self.rooms.get(room).into_iter().flatten()
    }

    /// Takes a connection out of its room, if it is in one, and tells those who stay.
    fn depart(&mut self, id: &str) -> Vec<Announcement> {
        let Some(connection) = self.connections.get_mut(id) else { return Vec::new() };
        let Some(room) = connection.room.take() else { return Vec::new() };
        let body = event("departed", &room, &connection.identity);
        if let Some(members) = self.rooms.get_mut(&room) {
            members.remove(id);
            if members.is_empty() {
                self.rooms.remove(&room);
            }
        }
        let targets = self.targets(&room);
        if targets.is_empty() { Vec::new() } else { vec![Announcement { targets, body }] }
    }

    fn forget_old(&mut self, now: u64) -> Vec<Announcement> {
        let is_old = |c: &Connection| c.opened_at.saturating_add(AGE_MAX) < now;
        let old = self.connections.iter().filter(|(_, c)| is_old(c)).map(|(id, _)| id.clone());
        let old: Vec<String> = old.collect();
        old.iter().flat_map(|id| self.disconnect(id)).collect()
    }
}

fn event(kind: &str, room: &str, identity: &Identity) -> Value {
    json!({
        "type": kind,
        "room": room,
        "from": { "principal": identity.principal, "name": identity.name, "role": identity.role },
    })
}

fn is_room_name(name: &str) -> bool {
    let chars = name.chars().take(ROOM_CHARS_MAX + 1).count();
    (1..=ROOM_CHARS_MAX).contains(&chars) && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(ids: &[&str]) -> Rooms {
        let mut rooms = Rooms::default();
        for id in ids {
            rooms.connect(id, connection(&format!("user-{id}"))).unwrap();
        }
        rooms
    }

    fn connection(principal: &str) -> Connection {
        let identity = Identity { principal: principal.to_owned(), ..Identity::default() };
        Connection::new(identity, ApiStage::parse("a1b2c3d4e5", "prod").unwrap(), 0)
    }

    fn ids(announcement: &Announcement) -> Vec<&str> {
        announcement.targets.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn what_is_said_reaches_everyone_in_the_room_and_nobody_else() {
        let mut rooms = rooms(&["a", "b", "c"]);
        rooms.join("a", "blue").unwrap();
        rooms.join("b", "blue").unwrap();
        rooms.join("c", "red").unwrap();
        let said = rooms.say("a", "hi").unwrap();
        assert_eq!(ids(&said), ["a", "b"]);
        assert_eq!(said.body["text"], "hi");
        assert_eq!(said.body["from"]["principal"], "user-a");
    }

    #[test]
    fn a_second_room_replaces_the_first_and_both_are_told() {
        let mut rooms = rooms(&["a", "b", "c"]);
        rooms.join("a", "blue").unwrap();
        rooms.join("b", "red").unwrap();
        rooms.join("c", "blue").unwrap();
        let answer = rooms.join("c", " red ").unwrap();
        let told: Vec<_> = answer.announcements.iter().map(|a| (ids(a), &a.body["type"])).collect();
        assert_eq!(told, [(vec!["a"], &json!("departed")), (vec!["b"], &json!("arrived"))]);
        assert_eq!(answer.reply["members"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn members_come_in_the_order_of_their_names() {
        let mut rooms = Rooms::default();
        for (id, name) in [("1", "Grace"), ("2", "Ada"), ("3", "Grace")] {
            let identity =
                Identity { name: name.to_owned(), principal: name.into(), ..Identity::default() };
            let api = ApiStage::parse("a1b2c3d4e5", "prod").unwrap();
            rooms.connect(id, Connection::new(identity, api, 0)).unwrap();
            rooms.join(id, "blue").unwrap();
        }
        let who = rooms.who("1");
        let names: Vec<_> =
            who["members"].as_array().unwrap().iter().map(|m| m["name"].as_str()).collect();
        assert_eq!(names, [Some("Ada"), Some("Grace"), Some("Grace")]);
    }

    #[test]
    fn nobody_speaks_outside_a_room() {
        let mut rooms = rooms(&["a"]);
        assert_eq!(rooms.say("a", "hi"), Err(Refusal::RoomAbsent));
        rooms.join("a", "blue").unwrap();
        rooms.leave("a").unwrap();
        assert_eq!(rooms.say("a", "hi"), Err(Refusal::RoomAbsent));
        assert_eq!(rooms.say("nobody", "hi"), Err(Refusal::RoomAbsent));
    }

    #[test]
    fn names_and_texts_have_bounds() {
        let mut rooms = rooms(&["a"]);
        for name in ["", "  ", "a\nb", &"x".repeat(41)] {
            assert_eq!(rooms.join("a", name), Err(Refusal::RoomName), "{name:?}");
        }
        rooms.join("a", &"é".repeat(40)).unwrap();
        assert_eq!(rooms.say("a", " "), Err(Refusal::Text));
        assert_eq!(rooms.say("a", &"x".repeat(2001)), Err(Refusal::Text));
        assert!(rooms.say("a", &"é".repeat(2000)).is_ok());
    }

    #[test]
    fn a_room_is_gone_with_its_last_member() {
        let mut rooms = rooms(&["a"]);
        rooms.join("a", "blue").unwrap();
        assert_eq!(rooms.disconnect("a"), []);
        assert!(rooms.rooms.is_empty() && rooms.connections.is_empty());
    }

    #[test]
    fn connections_are_bounded_and_the_forgotten_make_room() {
        let mut rooms = Rooms::default();
        for id in 0..CONNECTIONS_MAX {
            rooms.connect(&id.to_string(), connection("u")).unwrap();
        }
        assert_eq!(rooms.connect("new", connection("u")), Err(Refusal::ConnectionsFull));
        let mut late = connection("u");
        late.opened_at = AGE_MAX + 1;
        assert_eq!(rooms.connect("new", late), Ok(Vec::new()));
        assert_eq!(rooms.connections.len(), 1);
    }
}
