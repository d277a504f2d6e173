use crate::error::RenderError;
use crate::limits::Limits;
use crate::scope::Scope;
use crate::template::Template;
pub(crate) fn template(
    template: &Template,
    _scope: &dyn Scope,
    _limits: &Limits,
    out: &mut String,
) -> Result<(), RenderError> {
    out.push_str(template.constant().unwrap_or(""));
    Ok(())
}
