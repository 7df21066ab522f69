#include <cstring>

#include "caravan/plugin.hpp"

namespace caravan::detail {

void fill_error(caravan_error* error, const std::exception& exception) noexcept {
  if (!error) return;
  std::strncpy(error->text, exception.what(), sizeof error->text - 1);
  error->text[sizeof error->text - 1] = '\0';
  const auto* ours = dynamic_cast<const Error*>(&exception);
  error->exit_code = static_cast<int>(ours ? ours->exit_code() : ExitCode::failure);
}

}  // namespace caravan::detail
