"""What a config says of its criteria: completed, and each mistake in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from pruning_regimes.config.criteria import own_domains, resolved
from pruning_regimes.jobs.errors import ConfigError
from tests.helpers.criteria_tables import completed, entry

CRITERIA: dict[str, Any] = {
    "mixed": {},
    "ppl": {"kind": "perplexity"},
    "random": {},
    "contiguous": {},
    "spaced": {"of": "mixed"},
}
ALL = r"choose one of math_aware, non_math_aware, mixed, domain, .*, \.\.\.\.$"  # the nearest, where none is near

MISTAKES: list[tuple[dict[str, Any], str]] = [
    # Kinds, stated or the key itself.
    ({"last": {"kind": "lats"}}, r"^criteria\.last\.kind: unknown criterion 'lats'; did you mean 'last'\?$"),
    ({"it": {"kind": "it"}}, rf"^criteria\.it\.kind: unknown criterion 'it'; {ALL}"),
    ({"it": {"kind": 3}}, r"^criteria\.it\.kind: unknown criterion '3'; "),
    (
        {"mth_aware": {}},
        r"^criteria\.mth_aware: unknown criterion 'mth_aware', and the key 'kind' names no other; .* 'math_aware'\?$",
    ),
    ({"own": {"weights": {"math": 1}}}, rf"^criteria\.own: unknown criterion 'own', and the key 'kind' .*; {ALL}"),
    # Parameters.
    ({"last": {"weights": {"math": 1}}}, r"^criteria\.last\.weights: unknown key .*; choose one of kind, keep_last\.$"),
    (
        {"last": {"keeplast": True}},
        r"^criteria\.last\.keeplast: unknown key in .*; did you mean 'keep_last'\?$",
    ),
    ({"last": {"replicates": 3}}, r"^criteria\.last\.replicates: unknown key in the config; "),
    ({"uniform": {"of": "mixed"}}, r"^criteria\.uniform\.of: unknown key in the config; choose one of kind\.$"),
    ({"mixed": {"gap": 3}}, r"^criteria\.mixed\.gap: unknown key in the config; choose one of kind, weights, metric, "),
    ({"it": {"kind": "domain"}}, r"^criteria\.it: the key 'weights' is missing; it is: Weight of each domain's simil"),
    ({"spaced": {}}, r"^criteria\.spaced: the key 'of' is missing; it is: The criterion whose order is walked"),
    ({"contrast": {"domain": "math"}}, r"^criteria\.contrast: the key 'against' is missing; it is: The domain that"),
    ({"mixed": {"metric": "cosin"}}, r"^criteria\.mixed\.metric: 'cosin' is not a valid choice; .* 'cosine'\?$"),
    ({"mixed": {"token_group": "txt"}}, r"^criteria\.mixed\.token_group: 'txt' is not a valid choice; .* 'text'\?$"),
    ({"mixed": {"combine": 3}}, r"^criteria\.mixed\.combine: '3' is not a valid choice; choose one of score, rank\.$"),
    ({"mixed": {"weights": {}}}, r"^criteria\.mixed\.weights: at least one entry is needed\.$"),
    (
        {"mixed": {"weights": ["math"]}},
        r'^criteria\.mixed\.weights: expected a mapping .*, found \["math"\]\.$',
    ),
    ({"mixed": {"weights": {"math": "1"}}}, r'^criteria\.mixed\.weights\.math: expected a number, found "1"\.$'),
    ({"mixed": {"weights": {"math": 0, "general": 0}}}, r"^criteria\.mixed\.weights: all weights are 0; at least one"),
    ({"random": {"replicates": 0}}, r"^criteria\.random\.replicates: 0 is out of range; it must be at least 1\.$"),
    ({"random": {"replicates": 1.5}}, r"^criteria\.random\.replicates: expected a whole number, found 1\.5\.$"),
    ({"random": {"replicates": True}}, r"^criteria\.random\.replicates: expected a whole number, found true\.$"),
    ({"last": {"keep_last": 1}}, r"^criteria\.last\.keep_last: expected true or false, found 1\.$"),
    ({"spaced": {"of": "mixed", "gap": 1}}, r"^criteria\.spaced\.gap: 1 is out of range; it must be at least 2\.$"),
    ({"spaced": {"of": ["mixed"]}}, r'^criteria\.spaced\.of: expected text, found \["mixed"\]\.$'),
    ({"sleb": {"domains": "math"}}, r'^criteria\.sleb\.domains: expected a list, found "math"\.$'),
    ({"sleb": {"domains": ["math", "math"]}}, r"^criteria\.sleb\.domains: 'math' stands there twice; keep it once\.$"),
    ({"sleb": {"domains": [3]}}, r"^criteria\.sleb\.domains\.0: expected text, found 3\.$"),
    # Names of domains.
    ({"sleb": {"domains": ["mth"]}}, r"^criteria\.sleb\.domains: 'mth' is none of the domains; did you mean 'math'\?$"),
    (
        {"mixed": {"weights": {"math": 1, "genral": 1}}},
        r"^criteria\.mixed\.weights: 'genral' is none of the domains; did you mean 'general'\?$",
    ),
    (
        {"contrast": {"domain": "x", "against": "math"}},
        r"^criteria\.contrast\.domain: 'x' is none of the domains; choose one of math, general\.$",
    ),
    ({"contrast": {"domain": "math", "against": ""}}, r"^criteria\.contrast\.against: '' is none of the domains; "),
    # Criteria that are walked.
    ({"spaced": {"of": "mixd"}}, r"^criteria\.spaced\.of: 'mixd' is none of the criteria; did you mean 'mixed'\?$"),
    (
        {"spaced": {"of": "contiguous"}},
        r"^criteria\.spaced\.of: 'contiguous' is a criterion by structure; expected one that orders layers one by one; "
        r"choose one of mixed, ppl, random\.$",
    ),
    ({"spaced": {"of": "spaced"}}, r"^criteria\.spaced\.of: 'spaced' is a criterion by structure; "),
    ({"spaced": {"of": "perplexity"}}, r"^criteria\.spaced\.of: 'perplexity' is none of the criteria; "),
]


@pytest.mark.parametrize(("criteria", "sentence"), MISTAKES)
def test_a_mistake_gets_one_sentence(criteria: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        completed({**CRITERIA, **criteria})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["math_aware", "mixed"])
def test_a_preset_whose_domain_is_not_there_says_where_the_name_comes_from(kind: str) -> None:
    sentence = r"\.weights: 'math', which '{}' implies, is none of the domains; did you mean 'maths'\?$"
    with pytest.raises(ConfigError, match=f"^criteria.{kind}" + sentence.format(kind)):
        completed({kind: {}}, domains=["maths", "general"])
    with pytest.raises(ConfigError, match=r"^criteria\.it" + sentence.format(kind)):
        completed({"it": {"kind": kind}}, domains=["maths", "general"])
    with pytest.raises(ConfigError, match=rf"^criteria\.{kind}\.weights: 'math' is none of the domains; "):
        completed({kind: {"weights": {"math": 1}}}, domains=["maths"])
    assert completed({kind: {"weights": {"maths": 1}}}, domains=["maths"])[kind]["weights"] == {"maths": 1}


def test_the_shortest_entries_mean_the_defaults() -> None:
    found = completed({**CRITERIA, "odd": {"kind": "spaced", "gap": 3.0, "of": "ppl"}})
    assert found["mixed"] == {
        "kind": "domain",
        "weights": {"math": 0.5, "general": 0.5},
        "metric": "cosine",
        "token_group": "all",
        "combine": "score",
    }
    assert found["ppl"] == {"kind": "perplexity", "domains": [], "protect_ends": False}
    assert found["spaced"] == {"kind": "spaced", "of": "mixed", "gap": 2}
    # In the declared order, whatever the user's.
    assert list(found["odd"].items()) == [("kind", "spaced"), ("of", "ppl"), ("gap", 3)]
    assert type(found["odd"]["gap"]) is int
    assert completed(found) == found


def test_a_wrapped_criterion_stands_in_the_entry() -> None:
    found = completed(CRITERIA)
    assert resolved(found, "spaced") == {**found["spaced"], "of": found["mixed"]}
    assert resolved(found, "mixed") == found["mixed"]
    assert found["spaced"]["of"] == "mixed"


def test_a_control_can_be_walked() -> None:
    assert completed({**CRITERIA, "it": {"kind": "spaced", "of": "random"}})["it"]["of"] == "random"


def test_the_domain_of_a_criterion_is_that_of_its_one_weight() -> None:
    found = completed(
        {
            **CRITERIA,
            "math_aware": {},
            "non_math_aware": {"metric": "relative_update"},
            "general": {"kind": "domain", "weights": {"general": 2}},
            "not_math": {"kind": "domain", "weights": {"math": -1}},
        }
    )
    own = own_domains(found)
    assert {key: domain for key, (domain, _) in own.items()} == {
        "math_aware": "math",
        "non_math_aware": "general",
        "general": "general",
    }
    assert own["math_aware"][1] == own["general"][1] != own["non_math_aware"][1]
    assert own_domains({"it": entry("contrast", domain="math", against="general")}) == {}
