"""The paper's figures: functions that draw one each, and all of them from a reproduction."""
