#pragma once

#include <CLI/App.hpp>
#include <string>

namespace caravan::jobs {

// Options of the verbs that run a stored model. Each shows the value that its target has as the default.

/// --inputs, required.
void declare_inputs(CLI::App& app, std::string& inputs);
/// A device by name, under the option `name`.
CLI::Option* declare_device(CLI::App& app, const std::string& name, std::string& device,
                            const std::string& help = "auto, cuda, host or reference");
/// auto, fp32 or bf16, under the option `name`.
CLI::Option* declare_precision(
    CLI::App& app, const std::string& name, std::string& precision,
    const std::string& help =
        "What activations and weights are computed in: auto (what the device prefers), fp32 or bf16");

}  // namespace caravan::jobs
