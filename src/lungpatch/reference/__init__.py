"""The paper, reproduced: its preliminary experiment and what it proposes to look at."""
