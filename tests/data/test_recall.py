"""The recall task: what is shown, what is asked, and that nothing else tells the answer."""

import numpy as np

from bitgate.data import load_dataset


def test_the_first_step_alone_is_the_answer():
    dataset = load_dataset("recall-100")
    for part, count in ((dataset.train, 4000), (dataset.val, 1000), (dataset.test, 1000)):
        x = part.features.reshape(count, 100, 8)
        np.testing.assert_array_equal(x[:, 0].argmax(axis=1), part.labels)
        assert x[:, 0].sum() == count
        assert abs(x[:, 1:].std() - 0.3) < 0.001
        # The mean of the noise tells no class: correlation of each input with its class over N sequences.
        later = x[:, 1:].mean(axis=1) - x[:, 1:].mean()
        shown = np.eye(8)[part.labels]
        assert abs((later * shown).sum() / count) < 5 * 0.3 / np.sqrt(99 * count)


def test_parts_differ_and_calls_agree():
    first, second = load_dataset("recall-100"), load_dataset("recall-100")
    np.testing.assert_array_equal(first.train.features, second.train.features)
    assert not np.array_equal(first.val.features, first.test.features)
