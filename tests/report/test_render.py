import re
from html.parser import HTMLParser

import pytest

from seepage.errors import InputError, StorageError, printable
from seepage.report.audit import wording
from seepage.report.render import html, markdown, write_report
from seepage.schema.numbers import decimal, p_value, percent
from tests.report.conftest import page_source
from tests.report.example_results import leak

KILOBYTE = 1000


class Page(HTMLParser):
    """The tags, attributes and visible words of a page, as a browser without scripts would have them."""

    void = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, source: str):
        super().__init__()
        self.tags, self.open, self.words, self.unbalanced = [], [], [], []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).replace("\xa0", " ").split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture
def page(source):
    return Page(source)


@pytest.fixture
def page_of_leak():
    return Page(page_source("leak"))


def test_it_is_well_formed(page):
    assert page.unbalanced == []
    assert page.open == []


def test_it_is_small(source):
    assert len(source.encode()) < 300 * KILOBYTE


def test_nothing_can_be_fetched_and_nothing_can_run(source, page):
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "img", "video", "audio", "form", "base", "image"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, name)
        # a style may point into the page, never out of it
        assert all(to.startswith("#") for to in re.findall(r"url\(([^)]*)\)", attributes.get("style", "")))
    style = re.search(r"<style>(.*?)</style>", source, re.S)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "http:" not in source
    assert "https:" not in source


def test_the_policy_forbids_what_the_page_does_not_do(page):
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_the_verdict_comes_first_and_says_what_it_does_not_mean(variant, page):
    body = page.text[page.text.index("Skip to the answer") :]
    assert body.index(variant.verdict) < body.index("Gates")
    assert "What this does not mean" in body
    assert "safe" not in body.lower().replace("safetensors", "")


def test_sections_stand_in_the_order_in_which_they_are_needed(page):
    order = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    expected = ["answer", "gates", "attacks", "consequences", "controls", "records", "classes", "training", "method"]
    assert order[: len(expected)] == expected


def test_every_number_of_every_attack_is_there(leak, page_of_leak):
    text = page_of_leak.text
    for attack in leak.attacks:
        for estimate in (attack.auc, attack.balanced_accuracy, attack.advantage, attack.log_mia.a, attack.log_mia.b):
            assert f"{decimal(estimate.value)} [{decimal(estimate.low)}, {decimal(estimate.high)}]" in text
        rates = [*attack.tpr_at_fpr.values(), *attack.tnr_at_fnr.values(), *attack.positive_predictive_value.values()]
        assert all(percent(estimate.value) in text for estimate in rates)
        assert p_value(attack.p_value_holm) in text
        assert attack.epsilon is None or f" {attack.epsilon.value:.2f} " in text
        for words in (attack.title, attack.name, attack.source):
            assert words in text
    assert decimal(leak.attacks[0].log_mia.a.chance) in text


def test_every_flag_is_explained(leak, page_of_leak):
    flags = {estimate.flag for attack in leak.attacks for estimate in attack.tpr_at_fpr.values()} - {None}
    assert flags
    assert all(flag in page_of_leak.text for flag in flags)


def test_every_gate_record_class_and_setting_is_there(variant, page):
    told = [(gate.question, gate.detail, gate.way_out) for gate in variant.gates]
    told += [(record.id,) for record in variant.records] + [(part.name,) for part in variant.classes + variant.groups]
    told += [(variant.provenance.command, variant.provenance.data_fingerprint, str(variant.provenance.seed))]
    assert all(" ".join(printable(word).split()) in page.text for words in told for word in words)


def test_other_peoples_text_stays_text():
    source = page_source("hostile")
    page = Page(source)
    assert "<script" not in source
    assert "<img" not in source
    assert "\x1b" not in source
    assert "\u202e" not in source
    assert "{{ 7*7 }}" in page.text  # not evaluated
    assert "<script>alert(1)</script>" in page.text  # shown, as text
    assert "$\\frac" in page.text  # not set as mathematics


def test_markdown_cannot_be_broken_out_of_either(hostile):
    text = markdown(hostile)
    outside = re.sub(r"^(```+)\n.*?\n\1$", "", text, flags=re.S | re.M)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)!\[", outside)
    assert "](" not in outside
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    blocks = re.findall(r"(?:^\|.*\n)+", outside, re.M)
    assert rows
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_values_of_records_are_shown_only_where_the_result_holds_them():
    assert "stay out of the report" in page_source("leak")
    assert "(64 values)" in page_source("hundred classes")


def test_figures_have_names_and_follow_the_page(source, page):
    figures = [attributes for tag, attributes in page.tags if tag == "svg"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(figures) >= 2
    assert len(ids) == len(set(ids))
    for attributes in figures:
        assert attributes["role"] == "img"
        assert all(label in ids for label in attributes["aria-labelledby"].split())
    for attributes in (a for tag, a in page.tags if tag in ("path", "text", "use")):
        assert not re.search(r"#[0-9a-f]{6}", attributes.get("style", "")), "a colour that dark mode cannot change"


def test_the_same_result_gives_the_same_bytes(leak):
    assert html(leak) == page_source("leak")


def test_tables_name_their_rows_and_columns(page):
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert heads
    assert all(attributes.get("scope") in ("row", "col") for attributes in heads)


def test_markdown_says_what_the_page_says(variant, page):
    text = markdown(variant)
    assert text.startswith(f"# {variant.verdict}\n")
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert titles[0] == "Gates"
    assert all(title in page.text for title in titles)
    for attack in variant.attacks:
        assert f"{decimal(attack.auc.value)} [{decimal(attack.auc.low)}, {decimal(attack.auc.high)}]" in text


def test_it_is_written_whole_or_not_at_all(leak, tmp_path):
    path = leak.report(tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert write_report(leak, tmp_path / "report.MD").read_text(encoding="utf-8").startswith("# LEAK SHOWN")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.MD", "report.html"]


def test_errors_say_what_to_do(leak, tmp_path):
    with pytest.raises(InputError, match=r"\.html or \.md.*result\.save"):
        write_report(leak, tmp_path / "report.pdf")
    with pytest.raises(StorageError, match="cannot write the report"):
        write_report(leak, tmp_path / "missing" / "report.md")


@pytest.mark.parametrize(
    ("membership", "verdict", "says"),
    [
        ("drawn", "LEAK SHOWN", "drawn at random and no gate speaks against it, so"),
        ("declared", "NO EVIDENCE", "declared random and no gate speaks against it, so"),
        ("declared", "INVALID", "In a sound set-up"),
    ],
)
def test_a_causal_claim_says_whose_word_it_rests_on(membership, verdict, says):
    result = leak()
    provenance = result.provenance.model_copy(update={"membership": membership})
    about = {"claim": "causal", "verdict": verdict, "provenance": provenance}
    assert says in wording.claim(result.model_copy(update=about))
    assert "Nothing shows" in wording.claim(result.model_copy(update=about | {"claim": "association"}))
