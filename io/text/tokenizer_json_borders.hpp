#pragma once

#include <string>

#include "io/text/bpe_tokenizer.hpp"

namespace caravan::io {

/// Sets `parts.bos` and `parts.eos` of a tokenizer.json at `path` whose other parts are read: as the
/// tokenizer_config.json beside it names them, and where it does not, none. Without such a file BOS is the
/// token that the post-processor begins with, EOS the one that it ends with or else the added token with a
/// usual name. Warns when the files disagree about BOS; what the post-processor does counts. IoError when a
/// name is no token.
void name_borders(const std::string& path, BpeTokenizer::Parts& parts);

}  // namespace caravan::io
