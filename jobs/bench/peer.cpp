#include "jobs/bench/peer.hpp"

#include <fmt/format.h>

#include "io/files/pending_file.hpp"

namespace caravan::jobs {

std::string peer_description(TrainSetup& setup) {
  Config layers = Config::list();
  for (const LayerSpec& spec : setup.whole_model().model().layers()) {
    Config layer = Config::map();
    layer.set("layer", spec.plugin);
    layer.set("keys", spec.config);
    layers.append(layer);
  }
  Config all = Config::map();
  all.set("sequence_length", std::to_string(setup.shape().sequence_length()));
  all.set("sequences", std::to_string(setup.share().global_batch));
  all.set("max_norm", fmt::format("{}", setup.job().train.max_norm));
  all.set("layers", layers);
  return all.to_json() + "\n";
}

std::string write_peer(TrainSetup& setup, const std::string& file, int threads) {
  io::write_output(file, peer_description(setup));
  return fmt::format("python3 docs/peers/torch_step.py {} --threads {} --compile", file, threads);
}

}  // namespace caravan::jobs
