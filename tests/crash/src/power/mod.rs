//! stub
use crate::{arguments::PowerPlan, failure::Failure};
pub(crate) fn run(_plan: &PowerPlan) -> Result<bool, Failure> { Ok(true) }
