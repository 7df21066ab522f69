#pragma once

#include <memory>
#include <string>

#include "io/data/documents.hpp"
#include "io/data/text_inputs.hpp"
#include "io/data/token_stream.hpp"

namespace caravan::io {

/// The tokens of all documents of `inputs` in memory. `tokenizer` is the one of `encoder`, and stands in
/// `file`.
std::unique_ptr<TokenStream> tokenise(const TextInputs& inputs, const DocumentEncoder& encoder,
                                      const Tokenizer& tokenizer, const std::string& file);

}  // namespace caravan::io
