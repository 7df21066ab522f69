// config.json of a Hugging Face folder.
#include "io/hf/config_json.hpp"

#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void read(Input input) {
  const io::HfConfig config = io::parse_hf_config(std::string(text_of(input)), "config.json");
  config.model.to_yaml();
}

}  // namespace

// Up to 10,000 layers are listed, whatever the size of the file.
const Target hf_config{"hf_config", read, {32 << 20, 256}};

}  // namespace caravan::fuzz
