"""When the kills of a run fall, drawn from its seed, and where they fell."""
import collections

ROLES = ["task", "executor", "receiver", "worker", "node", "job driver", "driver daemon"]
# A new generation follows the loss of one of these.
COST_A_GENERATION = {"task", "executor", "worker", "node", "job driver"}
# With these go copies of blocks: not two of them without the replicas being whole in between.
COST_COPIES = {"worker", "node"}

STEPS = ["receiving", "sealed", "planned", "mapping", "reducing", "decided", "publishing",
         "checkpointing"]
RECOVERING = ["lost", "granted"]
ANY = "-"
BATCH_US = 100_000


class Kill:
    """One kill to come: of whom, in which step, and how long after the step was seen."""

    def __init__(self, role, step, random):
        self.role = role
        self.step = step
        spread = {ANY: BATCH_US, "granted": 60_000, "lost": 30_000}.get(step, 5_000)
        self.delay_us = random.randrange(spread)

    def recovering(self):
        return self.step in RECOVERING


def may_follow(before, kill):
    return before.role in COST_A_GENERATION and not before.recovering() and not (
        before.role in COST_COPIES and kill.role in COST_COPIES)


def draw(roles, kills, random):
    """Runs of kills. Half of them fall anywhere in the interval, half in a step of their own;
    those of a recovery come right behind a kill that makes one."""
    first, later = [], []
    for role in roles:
        moments = [ANY] * (kills // 2)
        while len(moments) < kills:
            moments += random.sample(STEPS + RECOVERING, min(10, kills - len(moments)))
        for step in moments:
            (later if step in RECOVERING else first).append(Kill(role, step, random))
    random.shuffle(first)
    runs = [[kill] for kill in first]
    for kill in later:
        places = [run for run in runs if len(run) == 1 and may_follow(run[0], kill)]
        if places:
            random.choice(places).append(kill)
        else:
            runs.append([Kill("job driver", ANY, random), kill])
    return runs


class Tally:
    """Which step each kill fell in."""

    def __init__(self):
        self.fell = collections.Counter()
        self.between = 0

    def note(self, role, before, after):
        self.fell[role, before] += 1
        self.between += before != after

    def of(self, role):
        return sum(count for (who, _), count in self.fell.items() if who == role)

    def table(self):
        steps = STEPS + RECOVERING
        width = max(len(role) for role in ROLES)
        lines = [" ".join(["killed".ljust(width)] + steps + ["all"])]
        for role in [role for role in ROLES if self.of(role)]:
            counts = [str(self.fell[role, step] or ".").rjust(len(step)) for step in steps]
            lines.append(" ".join([role.ljust(width)] + counts + [str(self.of(role)).rjust(3)]))
        sums = [sum(self.fell[role, step] for role in ROLES) for step in steps]
        lines.append(" ".join(["all".ljust(width)] + [str(sum_).rjust(len(step)) for sum_, step
                                                       in zip(sums, steps)]
                              + [str(sum(sums)).rjust(3)]))
        return "\n".join(lines)
