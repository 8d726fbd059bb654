"""Turns costs into rows, rows into a table, and compares a table with a committed one."""
import json
import statistics

ROWS = ["first full", "night", "clone", "sibling", "same again", "restore", "verify", "verify content"]
# What each peer must need at least, as a multiple of Dozo's CPU (design §6).
WANTED = {("first full", "restic"): 4.0, ("first full", "borg"): 1.1, ("night", "restic"): 3.0,
          ("restore", "restic"): 1.7, ("verify", "restic"): 8.0, ("verify content", "restic"): 1.9}
# How far a ratio may fall below the committed one before it counts as worse: shared machines, small images.
NOISE = {"first full": 0.15, "night": 0.20, "clone": 0.20, "sibling": 0.20, "same again": 0.25, "restore": 0.20,
         "verify": 0.25, "verify content": 0.20}
STORED_NOISE = 0.02
# What counts as reached where a number stands at the bound.
BOUND_REACHED = 1.15


class Results:
    """Costs by tool and row; the n-th costs of two tools in a row are a pair that ran back to back."""

    def __init__(self):
        self.costs = {}
        self.stored = {}
        self.bounds = {}
        self.one_worker = []

    def add(self, tool, row, cost):
        """Adds one cost."""
        self.costs.setdefault((tool, row), []).append(cost)

    def cpu(self, tool, row):
        """CPU seconds, the median."""
        costs = self.costs.get((tool, row))
        return statistics.median(cost.cpu for cost in costs) if costs else None

    def least(self, tool, row):
        """CPU seconds, the least."""
        return min(cost.cpu for cost in self.costs[tool, row])

    def ratio(self, peer, row, what="cpu"):
        """The median of the pair ratios peer / dozo."""
        pairs = list(zip(self.costs.get((peer, row), []), self.costs.get(("dozo", row), [])))
        if not pairs:
            return None
        return statistics.median(getattr(theirs, what) / max(getattr(ours, what), 1e-3) for theirs, ours in pairs)

    def peers(self):
        """Tools other than Dozo."""
        return sorted({tool for tool, _ in self.costs} - {"dozo"}, reverse=True)

    def as_json(self):
        """What a committed table keeps."""
        ratios = {row: {peer: round(self.ratio(peer, row), 2) for peer in self.peers()
                        if self.ratio(peer, row) is not None} for row in ROWS}
        stored = {tool: statistics.median(sizes) for tool, sizes in self.stored.items()}
        return {"cpu ratio peer/dozo, median of pairs": ratios,
                "stored dozo/peer": {peer: round(stored["dozo"] / stored[peer], 3) for peer in self.peers()}}


def _cell(value, form="{:.2f}"):
    return "–" if value is None else form.format(value)


def markdown(results):
    """The table as a page shows it."""
    peers = results.peers()
    head = ["work", "dozo CPU s"] + [f"{peer} CPU s" for peer in peers]
    head += [f"{peer} / dozo CPU" for peer in peers] + [f"{peer} / dozo wall" for peer in peers]
    head += ["dozo peak MiB", "bound CPU s", "dozo / bound", "design §6 wants"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in ROWS:
        if results.cpu("dozo", row) is None:
            continue
        cells = [row, _cell(results.cpu("dozo", row))]
        cells += [_cell(results.cpu(peer, row)) for peer in peers]
        cells += [_cell(results.ratio(peer, row), "{:.1f}") for peer in peers]
        cells += [_cell(results.ratio(peer, row, "wall"), "{:.1f}") for peer in peers]
        cells.append(f"{max(cost.peak for cost in results.costs['dozo', row]):.0f}")
        bound = results.bounds.get(row)
        cells += [_cell(bound), _cell(results.least("dozo", row) / bound if bound else None)]
        wanted = [f"{peer} {WANTED[row, peer]}" for peer in peers if (row, peer) in WANTED]
        cells.append(", ".join(wanted) or "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(results):
    """Which numbers of design §6 are reached, a line each."""
    lines = []
    for (row, peer), wanted in WANTED.items():
        ratio = results.ratio(peer, row)
        if ratio is None:
            lines.append(f"not measured: {row}, {peer}")
            continue
        bound = results.bounds.get(row)
        over = results.least("dozo", row) / bound if bound else None
        if ratio >= wanted:
            lines.append(f"reached: {row}, {peer} / dozo {ratio:.1f} >= {wanted}")
        elif over is not None and over <= BOUND_REACHED:
            lines.append(f"at the bound: {row}, {peer} / dozo {ratio:.1f} < {wanted}, and {over:.2f} x the bound")
        else:
            lines.append(f"MISSED: {row}, {peer} / dozo {ratio:.1f} < {wanted}"
                         + (f", {over:.2f} x the bound" if over is not None else ""))
    stored = {tool: statistics.median(sizes) for tool, sizes in results.stored.items()}
    for peer in results.peers():
        share = stored["dozo"] / stored[peer]
        word = ("reached" if share <= 0.95 else "MISSED") if peer == "restic" else "stored"
        lines.append(f"{word}: stored, all six, dozo {stored['dozo'] / 2**20:.0f} MiB, {peer} "
                     f"{stored[peer] / 2**20:.0f} MiB, {share:.2f}")
    walls = [one / two for one, two in results.one_worker]
    if walls:
        ratio = statistics.median(walls)
        lines.append(f"{'reached' if ratio >= 1.7 else 'MISSED'}: first full, wall of one worker / of two {ratio:.2f}")
    peak = max(cost.peak for (tool, _), costs in results.costs.items() if tool == "dozo" for cost in costs)
    lines.append(f"{'reached' if peak <= 256 else 'MISSED'}: peak RssAnon + RssShmem {peak:.0f} MiB <= 256")
    return lines


def worse(results, path):
    """Rows that are worse than the committed table by more than their noise, a sentence each."""
    with open(path, encoding="utf-8") as file:
        committed = json.load(file)
    now = results.as_json()
    sentences = []
    for row, peers in committed["cpu ratio peer/dozo, median of pairs"].items():
        for peer, before in peers.items():
            ratio = now["cpu ratio peer/dozo, median of pairs"].get(row, {}).get(peer)
            if ratio is None:
                sentences.append(f"{row}, {peer}: was not measured")
            elif ratio < before * (1 - NOISE[row]):
                sentences.append(f"{row}: {peer} / dozo is {ratio}, was {before}, and {NOISE[row]:.0%} is noise")
    for peer, before in committed["stored dozo/peer"].items():
        share = now["stored dozo/peer"].get(peer)
        if share is None or share > before * (1 + STORED_NOISE):
            sentences.append(f"stored: dozo / {peer} is {share}, was {before}, and {STORED_NOISE:.0%} is noise")
    return sentences


def _prove():
    """A worse ratio and a larger store are noticed, and what is within the noise is not."""
    import tempfile
    from cost import Cost
    results = Results()
    for ours, theirs in ((1.0, 2.0), (1.0, 2.2), (1.0, 2.4)):
        results.add("dozo", "restore", Cost(ours, 1, 1))
        results.add("restic", "restore", Cost(theirs, 1, 1))
    results.stored = {"dozo": [90], "restic": [100]}
    for ratio, share, expected in ((2.2, 0.9, 0), (2.2 / 0.81, 0.9, 0), (2.2 / 0.79, 0.9, 1), (2.2, 0.87, 1)):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"cpu ratio peer/dozo, median of pairs": {"restore": {"restic": ratio}},
                       "stored dozo/peer": {"restic": share}}, file)
            file.flush()
            found = worse(results, file.name)
        assert len(found) == expected, (ratio, share, found)


if __name__ == "__main__":
    _prove()
    print("the comparison with a committed table notices what it should")
