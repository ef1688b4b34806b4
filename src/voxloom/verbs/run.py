"""A run with its verbs as methods: what ``voxloom.Run`` is. Each method is one function of a module beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.attribution import Method, MethodSettings
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation.losses import CaseLoss
from voxloom.evaluation.measures import Measures
from voxloom.export.export import export_run
from voxloom.pictures.batches import show_batch, show_results
from voxloom.report.notebook import html_table
from voxloom.run import run as kept
from voxloom.tasks.abilities import need
from voxloom.tasks.predicted import On
from voxloom.tasks.study import open_study, training_of
from voxloom.tasks.task import task_of
from voxloom.tasks.wish import Wish
from voxloom.trust.sampling import DRAWS
from voxloom.trust.uncertainty_maps import Uncertainty
from voxloom.verbs.evaluate import RunEvaluation, evaluate_run, report_run
from voxloom.verbs.examples import Confusion, confusion_of, scored_table, show_maps
from voxloom.verbs.explain import ExplainOptions, explain_one
from voxloom.verbs.scan_maps import Scan, probability_maps, scan_of, uncertainty_of
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn
    from torch.utils.data import DataLoader


class Run(kept.Run):
    """A finished or unfinished training on disk, and what can be asked of it.

    Parameters
    ----------
    folder : of the run.

    Raises
    ------
    BadInput : the folder is not a run.
    """

    def _repr_html_(self) -> str:
        """Figures of the held-out cases, in a notebook."""
        task = task_of(self)
        return html_table(
            task.rows(self.summary.get("validation")), f"{self.folder.name}: {task.title} of held-out cases"
        )

    def predict(
        self,
        source: Scan | list[Scan],
        *,
        tta: bool = False,
        seed: int = 0,
        abstain: float | None = None,
        around: str | Path | Sequence[str | Path] | None = None,
        device: str = "auto",
    ) -> Any:
        """What the run's task answers for one scan, or a list of answers for a list of scans.

        A label map on the scan's own grid in the data set's label values, shape (1, I, J, K); points in RAS mm; a class or numbers.

        Parameters
        ----------
        source : a file, a DICOM folder, or a volume with all channels; a tuple of files is one scan with a file per channel, a list
            is several scans. The networks are loaded once.
        tta, seed : average over views of the scan, changed as in training; some of them are drawn.
        abstain : leave out points of less confidence; give no class below this probability.
        around : of a run that looks at a crop: file of the mask or point; of a list of scans a file each.

        Raises
        ------
        BadInput : a scan cannot be read or does not fit, or the task knows no such wish. Nothing is returned of the others then;
            ``voxloom predict`` and :func:`voxloom.verbs.predict.predict` write each and go on.
        """
        task = task_of(self)
        if tta:
            need(self, "predict --tta")
        opened: Any = task.open(self, Wish(device, tta, seed, abstain))
        if around is None:
            return [opened.predict(scan) for scan in source] if isinstance(source, list) else opened.predict(source)
        scans = source if isinstance(source, list) else [source]
        places = [around] if isinstance(around, (str, Path)) else list(around)
        if len(places) != len(scans):
            raise BadInput(f"{len(places)} masks or points are given for {len(scans)} scans", "around", "Give one each")
        looked = (task.focus(opened, scan_of(scan), Path(place)) for scan, place in zip(scans, places, strict=True))
        found = [opened.predict(volume) for volume in looked]
        return found if isinstance(source, list) else found[0]

    def probabilities(
        self, source: Scan, *, tta: bool = False, seed: int = 0, device: str = "auto"
    ) -> dict[str, Volume]:
        """What the networks think of every voxel of a scan, before post-processing: label -> probability from 0 to 1.

        Each is (1, I, J, K) float32 on the scan's own grid; labels that are regions may overlap.

        Parameters
        ----------
        source, tta, seed : as of ``predict``, one scan.

        Raises
        ------
        BadInput : the scan does not fit, or the run answers with points, a class or numbers, which carry their own confidence.
        """
        return probability_maps(self, source, Wish(device, tta, seed))

    def uncertainty(
        self, source: Scan, *, over: str | None = None, draws: int = DRAWS, seed: int = 0, device: str = "auto"
    ) -> Uncertainty:
        """Where the networks of a run, views of the scan, or draws with dropout disagree (``docs/uncertainty.md``).

        Parameters
        ----------
        source : one scan, as of ``predict``.
        over : "folds", "tta", "dropout", or several with commas; None takes folds where there are several, else what the run has.
        draws, seed : of dropout.

        Raises
        ------
        BadInput : the scan does not fit, there is one member only, or the run does not learn label maps.
        """
        return uncertainty_of(self, source, over, draws, seed, device)

    @cached_property
    def networks(self) -> tuple[nn.Module, ...]:
        """The trained torch modules, one per fold, ready to answer (evaluation mode, on the CPU); read once."""
        return task_of(self).load(self.folds, device="cpu").modules

    @cached_property
    def network(self) -> nn.Module:
        """The trained torch module of the first fold; see ``networks``."""
        return task_of(self).load(self.folds[:1], device="cpu").modules[0]

    def loader(self, *, fold: int = 0, first: int = 0) -> DataLoader[Any]:
        """Endless batches of prepared training cases as the network sees them: (image (B, C, ...), target), augmented.

        Parameters
        ----------
        fold : whose training cases.
        first : step of the first batch; the batch of a step is always the same.
        """
        from voxloom.training.loader import augmented_loader

        return augmented_loader(training_of(open_study(self), fold), first)

    def explain(
        self,
        source: str | Path | Volume,
        method: Method = "grad-cam",
        *,
        answer: str | None = None,
        layer: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        around: str | Path | None = None,
        mirror: bool = True,
    ) -> Volume:
        """Where the networks find the reason of an answer: a map (1, I, J, K) on the scan's own grid, mean over the folds.

        Parameters
        ----------
        source : a volume with the run's channels, a file, or a DICOM folder.
        method : "cam", "grad-cam", "grad-cam++", "integrated-gradients" or "occlusion".
        answer : class, target, label or landmark; None takes the predicted class, or the only answer there is.
        layer : of the first three methods, see :class:`voxloom.attribution.MethodSettings`.
        attributes : of the case, for covariates.
        around : of a run that looks at a crop: file of the mask or point.
        mirror : of the first three methods: average over mirror images that training showed, where the run answers for whole scans.
        """
        options = options_of(method, layer, () if answer is None else (answer,), attributes or {}, mirror)
        place = Path(around) if around is not None else None
        return explain_one(self, source, replace(options, around=place))

    def top_losses(self, count: int = 10, on: On = "held-out") -> list[CaseLoss]:
        """The cases whose answers were most wrong, the worst first; of the held-out cases or the last test set."""
        return scored_table(self, on).losses()[:count]

    def confusion_matrix(self, on: On = "held-out") -> Confusion:
        """Counts of true against predicted classes."""
        return confusion_of(self, on)

    def show_maps(
        self,
        path: str | Path | None = None,
        *,
        cases: Sequence[str] | None = None,
        method: Method = "grad-cam",
        layer: str | None = None,
    ) -> Figure:
        """Picture of held-out cases with the maps of their answers, by the network that never saw them; also written to ``path``.

        Without ``cases`` the worst and some of the right ones.
        """
        options = options_of(method, layer, (), {})
        return show_maps(self, Path(path) if path is not None else None, cases, options)

    def evaluate(self, data: str | Path | Dataset | None = None, *, measures: Measures | None = None) -> RunEvaluation:
        """Figures on another data set, or on the validation cases of the run; ``measures`` instead of what the recipe says."""
        return evaluate_run(self.folder, data, measures=measures)

    def report(self, path: str | Path | None = None) -> Path:
        """Write ``report.html``, self-contained."""
        return report_run(self.folder, Path(path) if path is not None else None)

    def export(self, path: str | Path, to: str = "monai") -> Path:
        """Write the run as a MONAI bundle, or ``to`` "zip", "onnx", "torchscript" or "nnunet"."""
        return export_run(self, Path(path), to)

    def push(self, repo: str, *, public: bool = False, endpoint: str | None = None) -> str:
        """Push the run, without what names or shows patients, to ``owner/name`` on a hub; its address."""
        from voxloom.export.hub import push

        return push(self, repo, public=public, endpoint=endpoint)

    def show_batch(self, path: str | Path | None = None, *, step: int = 0) -> Figure:
        """Picture of one training batch after augmentation, with label contours; also written to ``path``."""
        return show_batch(self, Path(path) if path is not None else None, step=step)

    def predict_points(self, source: str | Path | Volume) -> Any:
        """Points of one scan in RAS mm: another name of ``predict`` for runs on points."""
        return self.predict(source)

    def show_results(
        self, path: str | Path | None = None, *, cases: Sequence[str] | None = None, on: On = "held-out"
    ) -> Figure:
        """Picture of held-out (or test) cases with the contours of truth and prediction; also written to ``path``."""
        return show_results(self, Path(path) if path is not None else None, cases=cases, on=on)


def options_of(
    method: Method, layer: str | None, answers: tuple[str, ...], attributes: Mapping[str, Any], mirror: bool = True
) -> ExplainOptions:
    """Options of an explanation in Python."""
    return ExplainOptions(MethodSettings(method=method, layer=layer, mirror=mirror), answers, attributes=attributes)
