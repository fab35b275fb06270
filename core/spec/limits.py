"""How large a job may be. A refusal says the figure that was asked for and the limit."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024
GIB = 1024 * MIB


class Limits(BaseModel):
    """Sizes that are refused before anything is queued."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int = Field(50_000_000, description="trainable parameters of one network")
    memory_bytes: int = Field(8 * GIB, description="estimated memory of one run: data, model, optimizer, activations")
    activation_bytes: int = Field(2 * GIB, description="estimated activations of one batch")
    steps: int = Field(50_000_000, description="optimizer steps of one run, all epochs together")
    epochs: int = Field(1_000_000, description="epochs of one run")
    layers: int = Field(500, description="layers of one network after a family is expanded")
    units: int = Field(100_000, description="width of one layer")
    batch_size: int = Field(1_000_000, description="samples in one batch")
    categories: int = Field(1_000, description="distinct values of one categorical feature")
    spec_bytes: int = Field(MIB, description="bytes of a job spec")
    spec_depth: int = Field(32, description="nesting of a job spec")
    spec_nodes: int = Field(10_000, description="values in a job spec")
    predict_bytes: int = Field(16 * MIB, description="bytes of a predict request")
    predict_rows: int = Field(10_000, description="rows of a predict request")
    open_analyses: int = Field(20, description="analyses and experiments of one project that are not over")
    upload_bytes: int = Field(2 * GIB, description="bytes of an uploaded file, as sent")
    dataset_bytes: int = Field(4 * GIB, description="bytes of a data set once read")
    dataset_rows: int = Field(100_000_000, description="rows of a data set")
    dataset_columns: int = Field(10_000, description="columns of a table")
    parse_memory_bytes: int = Field(6 * GIB, description="address space of the child that reads an upload")
    parse_seconds: int = Field(300, description="seconds that reading an upload may take")
