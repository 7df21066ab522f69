#pragma once

#include <cstdint>
#include <memory>

#include "caravan/data.hpp"
#include "io/data/token_stream.hpp"
#include "jobs/evaluate/document_source.hpp"
#include "jobs/evaluate/options.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

/// Data as the sequences that are measured.
struct CutData {
  std::unique_ptr<DataSource> source;
  const DocumentSource* documents = nullptr;  ///< the same where each document is measured by itself, or null
  std::int64_t sequences = 0;                 ///< to measure, from the first on
  std::int64_t left_out = 0;                  ///< tokens that are in none of them
};

/// Tokens of a sequence, at most. ConfigError where the model was not made for as many.
std::int64_t sequence_length(const EvaluateOptions& options, const ModelSource& source);

/// A stream is cut as training cuts it, in order; or each document by itself (see DocumentSource).
/// `least_length`: tokens that a sequence of a document has at least. ConfigError for less than a sequence.
CutData cut(const EvaluateOptions& options, std::unique_ptr<io::TokenStream> tokens, std::int64_t length,
            std::int64_t least_length);

}  // namespace caravan::jobs
