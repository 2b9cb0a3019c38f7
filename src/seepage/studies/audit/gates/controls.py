"""Gates that models of a known answer must pass: silence on a stranger, an alarm on an overfitted one."""

from seepage.studies.audit.controls import Controls
from seepage.studies.audit.gates.check import GATE_LEVEL, Check, failed, not_run, passed
from seepage.studies.settings import Settings


def null_model(controls: Controls) -> Check:
    name, question = "null model", "Do the attacks stay silent on a model that never saw the records?"
    if controls.null is None:
        way_out = "give a pool with labels and a population, and a recipe, and the audit trains one"
        return not_run(name, question, controls.why_no_null, way_out)
    least = min(controls.null.p_values_holm.values())
    detail = f"smallest corrected p-value {least:.2g}, on the same sides"
    if least < GATE_LEVEL:
        way_out = "the sides differ by more than membership: look for a difference in how they were collected"
        return failed(name, question, detail, way_out)
    return passed(name, question, detail)


def positive_control(controls: Controls, settings: Settings) -> Check:
    name, question = "positive control", "Do the attacks find the leak of an overfitted model?"
    if controls.positive is None:
        way_out = "give a pool with labels and a recipe, and the audit trains one"
        return not_run(name, question, controls.why_no_positive, way_out)
    least = min(controls.positive.p_values_holm.values())
    detail = f"smallest corrected p-value {least:.2g} on a model trained as long on a tenth of the records"
    if least > settings.alpha:
        return failed(name, question, detail, "audit more records, or with more references", guards="absence")
    return passed(name, question, detail)
