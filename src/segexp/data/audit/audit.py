"""The audit: what is wrong with the data, or strange, before the first step of a training."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from segexp.data.audit.duplicates import DUPLICATE_RULES
from segexp.data.audit.file_findings import FILE_RULES, not_taken
from segexp.data.audit.findings import IMAGE_RULES, Finding, excluding
from segexp.data.audit.mask_findings import MASK_RULES
from segexp.data.audit.measures import Content, Measures, content_of, measure
from segexp.data.audit.prescribed import not_followed
from segexp.data.case import Case, Entry
from segexp.data.splits import Split
from segexp.errors import some, times

KINDS = 4  # that the overview lists
SPLITS = ("train", "val", "test", "left out")


@dataclass(frozen=True)
class Audit:
    """Findings and measures of a data set.

    Attributes:
        findings: Errors, then warnings, then notes.
        measures: Measures of each case that can be used, in order.
        count: Number of cases that were read, broken ones included.
        class_names: Names of the classes.
        split: Split of the cases; None where an error tells why they could not be split.
    """

    findings: tuple[Finding, ...]
    measures: tuple[Measures, ...]
    count: int
    class_names: tuple[str, ...]
    split: Split | None

    def of(self, level: str) -> list[Finding]:
        """Findings of one level: "error", "warning" or "note"."""
        return [finding for finding in self.findings if finding.level == level]

    def rules(self, name: str) -> list[str]:
        """Rules that a case breaks."""
        return list(dict.fromkeys(finding.rule for finding in self.findings if name in finding.cases))

    def summary(self, more: str = "") -> str:
        """One line, such as for the start of a training; ``more`` follows if there are errors or warnings."""
        parts = [f"audit: {self.count} cases"]
        for level in ("error", "warning"):
            findings = self.of(level)
            rules = ", ".join(dict.fromkeys(finding.rule for finding in findings))
            plural = "s" if len(findings) != 1 else ""
            parts.append(f"{len(findings)} {level}{plural} ({rules})" if findings else f"no {level}s")
        worth_a_look = more and (self.of("error") or self.of("warning"))
        return ", ".join(parts) + (f"; {more}" if worth_a_look else "")

    def raise_errors(self) -> None:
        """Refuse data with errors by a ValueError: one sentence for each, in lines of their own."""
        sentences = [error.sentence for error in self.of("error")]
        if len(sentences) > 1:
            sentences.insert(0, f"the audit of {self.count} cases found {len(sentences)} errors:")
        if sentences:
            raise ValueError("\n".join(sentences))

    def overview(self) -> dict[str, str]:
        """What the cases have in common and where they differ, in words."""
        seen = self.measures
        if not seen:
            return {"cases": f"{self.count}, none of which can be used"}
        groups = {one.group for one in seen} - {""}
        splits = Counter(one.split or "left out" for one in seen)
        facts = {
            "cases": f"{self.count}" + (f" of {len(groups)} groups" if groups else ""),
            "splits": ", ".join(f"{split} {splits[split]}" for split in SPLITS if splits[split]),
            "size": _kinds(times(one.size) for one in seen),
            "channels": _kinds(one.channels for one in seen),
            "type": _kinds(one.dtype for one in seen),
            "values": f"{min(one.low for one in seen):g} to {max(one.high for one in seen):g}",
            "pixel": _kinds(f"{times(one.spacing)} {one.unit}" for one in seen),
            "orientation": _kinds(one.orientation or "not told" for one in seen),
        }
        return facts | _classes(seen, self.class_names)


def audit(
    entries: Sequence[Entry],
    read: Callable[[Entry], Case],
    check: Callable[[Case], None],
    split: Callable[[], Split],
    class_names: Sequence[str],
    handled: Collection[str] = (),
    left_out: Mapping[str, Sequence[str]] = MappingProxyType({}),
    content: Callable[[Case, int], Content] = content_of,
) -> Audit:
    """Read every case once, and tell all that is wrong at once.

    Args:
        entries: Entries of all cases.
        read: Reader of one of them; an error that it raises is a finding.
        check: Check that refuses a case which is not as declared.
        split: Maker of the split; an error that it raises is a finding.
        class_names: Names of the classes, background first.
        handled: Rules that need not warn, since the configuration takes care: "class imbalance", "pixel sizes".
        left_out: What the source saw and did not take, by reason.
        content: Function of a case and the number of classes that measures its arrays, or knows them from before.
    """
    # The split may be impossible; the cases are read all the same.
    findings = []
    twice = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if twice:
        sentence = f"cases {some(twice)} come more than once: give each case a name of its own"
        findings.append(Finding("error", "names", sentence, tuple(twice)))
    parts = None
    try:
        parts = split()
    except (ValueError, OSError) as error:
        findings.append(Finding("error", "split", str(error)))
    splits = {name: split for split, names in vars(parts).items() for name in names} if parts else {}
    # Equal sentences about several cases become one finding.
    measures = []
    broken: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        try:
            case = read(entry)
            check(case)
            measured = content(case, len(class_names))
            measures.append(measure(entry, case, splits.get(entry.name, ""), measured))
        except (ValueError, OSError) as error:
            broken[str(error)] = (*broken.get(str(error), ()), entry.name)
    findings += [
        Finding("error", "cannot be used", sentence, names, excluding(names, len(entries)))
        for sentence, names in broken.items()
    ]
    # Rules compare the cases that can be used.
    if measures:
        rules = (*DUPLICATE_RULES, *IMAGE_RULES, *FILE_RULES)
        by_rules = [finding for rule in rules for finding in rule(measures)]
        by_rules += [finding for rule in MASK_RULES for finding in rule(measures, class_names)]
        findings += [finding for finding in by_rules if finding.rule not in handled]
    findings += not_taken(left_out)
    findings += not_followed(entries, splits)
    findings.sort(key=lambda finding: ("error", "warning", "note").index(finding.level))
    return Audit(tuple(findings), tuple(measures), len(entries), tuple(class_names), parts)


def _kinds(values: Iterable[object]) -> str:
    """Count equal values: "512×512" where all are equal, else "512×512 (30), 256×256 (2)"."""
    counts = Counter(str(value) for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return some((f"{value} ({count})" for value, count in counts.most_common()), KINDS)


def _classes(seen: Sequence[Measures], class_names: Sequence[str]) -> dict[str, str]:
    """Fraction of each class in all pixels, and the values in the mask files."""
    labeled = max(1, sum(one.labeled for one in seen))
    facts = {}
    for label, name in enumerate(class_names):
        counts = [one.counts[label] for one in seen if one.counts]
        having = sum(count > 0 for count in counts)
        facts[f"class {label}, {name}"] = f"{sum(counts) / labeled:.2%} of the labeled pixels, in {having} cases"
    objects = sum(one.objects for one in seen)
    if objects:
        facts["objects"] = f"{objects}, of which {sum(one.touching for one in seen)} touch another"
    values = sum((Counter(one.mask_values) for one in seen if not one.objects), Counter())
    if values:
        shown = (f"{value} ({count / values.total():.2%})" for value, count in sorted(values.items()))
        facts["values in mask files"] = some(shown)
    return facts
