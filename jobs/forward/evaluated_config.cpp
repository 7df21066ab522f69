#include "jobs/forward/evaluated_config.hpp"

namespace caravan::jobs {

Config evaluated(Config model) {
  for (const char* key : {"dropout", "attention_dropout", "balance_loss"}) model.set(key, "0");
  return model;
}

Config without_noise(Config model) {
  model.set("noisy", "false");
  return model;
}

}  // namespace caravan::jobs
