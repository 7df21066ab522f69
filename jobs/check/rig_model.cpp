#include "jobs/check/rig_model.hpp"

namespace caravan::jobs {

RigModel::RigModel(const std::string& layer, const Config& keys, std::int64_t vocabulary)
    : dim_(keys.get_int("dim")), vocabulary_(vocabulary) {
  layers_.push_back({"embedding", "tok_embeddings", end("tok_embeddings")});
  for (int i = 0; i < kLayers; ++i) {
    const std::string name = "layers." + std::to_string(i);
    Config config = keys;
    config.set("name", name);
    layers_.push_back({layer, name, config});
  }
  layers_.push_back({"head", "head", end("head")});
}

Config RigModel::end(const std::string& name) const {
  Config config = Config::map();
  config.set("name", name);
  config.set("dim", std::to_string(dim_));
  config.set("vocab_size", std::to_string(vocabulary_));
  return config;
}

}  // namespace caravan::jobs
