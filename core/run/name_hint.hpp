#pragma once

#include <string>
#include <vector>

namespace caravan {

/// Of a glob that fits none of these names, those that it may have meant: "near are a.wq.weight,
/// b.wq.weight"; where none is near, how such names look.
std::string name_hint(const std::string& glob, const std::vector<std::string>& names);

}  // namespace caravan
