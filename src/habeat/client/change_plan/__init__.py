"""What a change of beat_schedule does to the slots of the coming weeks: `habeat plan`."""

from habeat.client.change_plan.deploy import DeployPlan, PlannedEntry, deploy_planned
from habeat.client.change_plan.plan import ChangePlan, compare_schedules
from habeat.client.change_plan.saved import SavedSchedule
from habeat.client.change_plan.slot_changes import EntryChange
from habeat.client.change_plan.window import Window

__all__ = [
    "ChangePlan",
    "DeployPlan",
    "EntryChange",
    "PlannedEntry",
    "SavedSchedule",
    "Window",
    "compare_schedules",
    "deploy_planned",
]
