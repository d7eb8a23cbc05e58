"""TensorBoard event files without torch or TensorFlow: one writer, and the few kinds of summaries that we need.

The same records give the same bytes: file names and times come from the run, never from the clock.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

FILE_NAME = "events.out.tfevents.0000000000.speedproof"
"""TensorBoard looks for "tfevents" in the name."""


class EventWriter:
    """Writes one event file of one TensorBoard run; use it in `with closing(…)`."""

    def __init__(self, folder: Path, wall_time_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._wall_time_s = wall_time_s
        self._records = RecordWriter((folder / FILE_NAME).open("wb"))
        self._write(event_pb2.Event(wall_time=wall_time_s, file_version="brain.Event:2"))

    def close(self) -> None:
        """End the file."""
        self._records.close()

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString(deterministic=True))

    def _add(self, values: list[Any], step: int = 0, wall_time_s: float | None = None) -> None:
        time_s = self._wall_time_s if wall_time_s is None else wall_time_s
        self._write(event_pb2.Event(wall_time=time_s, step=step, summary=summary_pb2.Summary(value=values)))

    def scalars(self, values: Mapping[str, float | None], step: int, wall_time_s: float | None = None) -> None:
        """Add a point to each curve, by tag; what was not measured or is not finite is left out."""
        points = [
            summary_pb2.Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
            if value is not None and math.isfinite(value)
        ]
        if points:
            self._add(points, step, wall_time_s)

    def text(self, tag: str, markdown: str) -> None:
        """Add a text in Markdown."""
        metadata = text_metadata.create_summary_metadata(display_name="", description="")
        self._tensor(tag, [markdown.encode("utf-8")], metadata)

    def image(self, tag: str, png: bytes) -> None:
        """Add an image, whose width and height stand in the first chunk of a PNG."""
        width, height = struct.unpack(">II", png[16:24])
        metadata = image_metadata.create_summary_metadata(display_name="", description="", converted_to_tensor=False)
        self._tensor(tag, [str(width).encode(), str(height).encode(), png], metadata)

    def _tensor(self, tag: str, strings: list[bytes], metadata: Any) -> None:
        self._add([summary_pb2.Summary.Value(tag=tag, tensor=make_tensor_proto(strings), metadata=metadata)])

    def experiment(self, rows: Sequence[Mapping[str, bool | str]], metrics: Mapping[str, str]) -> None:
        """Say which hyperparameters and metrics the table has; belongs in the top folder.

        `rows` are the parameters of each session, all of the same names; `metrics` maps the tag of a scalar to the name
        to show.
        """
        parameters = []
        for name in rows[0] if rows else ():
            values = [row[name] for row in rows]
            is_bool = isinstance(values[0], bool)
            kind = api_pb2.DATA_TYPE_BOOL if is_bool else api_pb2.DATA_TYPE_STRING
            parameters.append(api_pb2.HParamInfo(name=name, type=kind))
            parameters[-1].domain_discrete.extend([True, False] if is_bool else dict.fromkeys(values))
        experiment = api_pb2.Experiment(
            time_created_secs=self._wall_time_s,
            hparam_infos=parameters,
            metric_infos=[
                api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=shown)
                for tag, shown in metrics.items()
            ],
        )
        self._hparams(hparams_metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment))

    def session(self, name: str, parameters: Mapping[str, bool | str], *, succeeded: bool) -> None:
        """Add a row of the hyperparameter table; its metrics are this run's scalars."""
        start = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=self._wall_time_s)
        for key, value in parameters.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            else:
                start.hparams[key].string_value = value
        status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=self._wall_time_s)
        self._hparams(
            hparams_metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=start)
        )
        self._hparams(hparams_metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end))

    def _hparams(self, tag: str, content: Any) -> None:
        # The data lies in deterministic order so that the same records give the same bytes.
        content.version = hparams_metadata.PLUGIN_DATA_VERSION
        plugin = summary_pb2.SummaryMetadata.PluginData(
            plugin_name=hparams_metadata.PLUGIN_NAME, content=content.SerializeToString(deterministic=True)
        )
        metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
        self._add([summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR)])
