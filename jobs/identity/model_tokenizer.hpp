#pragma once

#include <string>

namespace caravan::io {
class CheckpointReader;
}

namespace caravan::jobs {

struct Job;

/// The tokenizer of a trained model.
struct ModelTokenizer {
  std::string path;    ///< file or folder; empty when none is known
  std::string digest;  ///< that it must have; empty when nothing says so
};

/// The tokenizer that a checkpoint was trained with: beside it, in its run's folder, or where its job says,
/// with paths that start from the run. Where the working folder is does not count. IoError, naming both
/// digests, when what stands there is another one.
ModelTokenizer tokenizer_of(const io::CheckpointReader& reader, const Job& job);

/// The digest alone, for whoever brings a tokenizer along.
ModelTokenizer tokenizer_digest_of(const std::string& checkpoint);

/// IoError, naming both digests, when the tokenizer at `path` (a file or folder) is not the one that `model`
/// names.
void check_tokenizer(const std::string& path, const ModelTokenizer& model);

}  // namespace caravan::jobs
