#include "io/text/tokenizer_config.hpp"

namespace caravan::io {

TextFrame frame_without_post_processor(const TokenizerConfig& config, std::optional<std::int32_t> bos,
                                       std::optional<std::int32_t> eos) {
  TextFrame frame;
  if (bos && !config.says_no_bos && config.add_bos.value_or(true)) frame.before.push_back(*bos);
  if (eos && config.add_eos.value_or(false)) frame.after.push_back(*eos);
  return frame;
}

}  // namespace caravan::io
