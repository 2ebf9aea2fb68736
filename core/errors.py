"""Every error Bifocal raises on purpose. Each message names the fault and the remedy.

CoreError
├── UsageError (also ValueError)       the caller asked for something impossible
│   ├── InvalidDepthError              k below 1, or a depth outside what is offered
│   ├── InvalidSettingError            a setting or option with a value that cannot work
│   ├── InvalidQueryError              empty, or longer than the page accepts
│   └── UnknownNameError               a pair, encoder, document, comparison... nobody knows
├── DocumentError                      one file could not be read; the batch goes on
│   ├── PdfReadError                   damaged, truncated, not a PDF at all
│   │   ├── EncryptedPdfError          needs a password
│   │   └── WrongPasswordError         the password given does not open it
│   ├── NoTextError                    nothing to read: scanned or blank pages only
│   │   └── NeedsOcrError              its pages are scanned, or its fonts name no letters
│   ├── UnsupportedFileError           of no kind that is read
│   └── LimitExceededError             too large, too many pages, too slow, too much memory
├── EncoderError
│   ├── EncoderLoadError               weights, tokenizer or config missing or not as expected
│   │   ├── WeightsMismatchError       a hash, a tensor name or a shape differs
│   │   └── AttentionProbeError        attention does not go the way the spec says
│   ├── EncoderTooLargeError           does not fit this machine's memory
│   ├── EncoderUnavailableError        not on this machine and cannot be fetched now
│   ├── EncodingError                  the encoder failed on a text half-way
│   └── GpuQuotaError                  no GPU time is left on a shared host
├── StoreError
│   ├── WorkspaceNotFoundError
│   ├── WorkspaceLockedError           another process has it open
│   ├── WorkspaceVersionError          written by a newer Bifocal
│   ├── WorkspaceDamagedError          a file's hash or length is wrong
│   └── DiskFullError
├── SearchError
│   ├── IndexMismatchError             vectors and passages do not belong together
│   └── EmptyLibraryError              nothing has been indexed yet
├── DatasetError                       a BEIR or TREC file is not in its layout
├── LaboratoryError                    an experiment does not fit the text it was given
├── AllowanceExceededError             a visitor of a shared server used up their share
└── StoppedError                       the user pressed Stop; what was finished is kept
"""

from __future__ import annotations


class CoreError(Exception):
    """Root of every error that Bifocal raises on purpose; its text is fit to be shown."""


class UsageError(CoreError, ValueError):
    """The caller asked for something impossible."""


class InvalidDepthError(UsageError):
    """A depth k outside the range."""


class InvalidSettingError(UsageError):
    """A setting or option with a value that cannot work."""


class InvalidQueryError(UsageError):
    """A query that is empty or too long."""


class UnknownNameError(UsageError):
    """An unknown pair, encoder, document, passage or comparison."""


class DocumentError(CoreError):
    """One file could not be read; the rest of the batch goes on."""


class PdfReadError(DocumentError):
    """The file is damaged, truncated or not a PDF."""


class EncryptedPdfError(PdfReadError):
    """The file needs a password."""


class WrongPasswordError(PdfReadError):
    """The password given does not open the file."""


class NoTextError(DocumentError):
    """The file holds no text: scanned or blank pages only."""


class NeedsOcrError(NoTextError):
    """The pages are pictures of text, or their fonts do not say which letters they draw."""


class UnsupportedFileError(DocumentError):
    """The file is of no kind that is read."""


class LimitExceededError(DocumentError):
    """The file is too large, too long, too slow or needs too much memory."""


class EncoderError(CoreError):
    """Something about an encoder."""


class EncoderLoadError(EncoderError):
    """Weights, tokenizer or config are missing or not as expected."""


class WeightsMismatchError(EncoderLoadError):
    """A hash, a tensor name or a shape differs from the spec."""


class AttentionProbeError(EncoderLoadError):
    """Attention does not go the way the spec says."""


class EncoderTooLargeError(EncoderError):
    """The encoder does not fit this machine's memory."""


class EncoderUnavailableError(EncoderError):
    """The encoder is not on this machine and cannot be fetched now."""


class EncodingError(EncoderError):
    """The encoder failed on a text half-way."""


class GpuQuotaError(EncoderError):
    """A shared host has no GPU time left for this visitor now."""


class StoreError(CoreError):
    """Something about a workspace on disk."""


class WorkspaceNotFoundError(StoreError):
    """There is no workspace at that place."""


class WorkspaceLockedError(StoreError):
    """Another process has the workspace open."""


class WorkspaceVersionError(StoreError):
    """The workspace was written by a newer Bifocal."""


class WorkspaceDamagedError(StoreError):
    """A file of the workspace has a wrong hash or length."""


class DiskFullError(StoreError):
    """The disk filled up while writing; everything before is intact."""


class SearchError(CoreError):
    """Something about searching."""


class IndexMismatchError(SearchError):
    """Vectors and passages do not belong together."""


class EmptyLibraryError(SearchError):
    """Nothing has been indexed yet."""


class DatasetError(CoreError):
    """A BEIR or TREC file is not in its layout."""


class LaboratoryError(CoreError):
    """An experiment does not fit the text it was given."""


class AllowanceExceededError(CoreError):
    """A visitor of a shared server has used up an allowance: queries, documents, bytes."""


class StoppedError(CoreError):
    """The user pressed Stop; finished work is kept."""
