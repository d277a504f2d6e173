//! The framing as its callers and its peers see it.

#[cfg(test)]
mod differential;
#[cfg(test)]
mod property;
#[cfg(test)]
mod rule;
#[cfg(test)]
mod script;
