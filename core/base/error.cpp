#include "caravan/error.hpp"

namespace caravan {

Error::Error(std::string message, std::source_location where)
    : message_(std::move(message)), text_(message_), where_(where) {}

Error::~Error() = default;

void Error::add_context(std::string scope) {
  text_ += "\n  in " + scope;
  context_.push_back(std::move(scope));
}

ConfigError::~ConfigError() = default;
PluginError::~PluginError() = default;
CommError::~CommError() = default;
DeviceError::~DeviceError() = default;
IoError::~IoError() = default;
NumericalError::~NumericalError() = default;

}  // namespace caravan
