// Parameters of the OpenAI API and of its common dialects that this server does not do: sent with a
// value that would change the answer they are refused by name, with a harmless value ignored. Names
// that are not in the table are ignored whatever their value, as OpenAI's clients expect.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

namespace intactkv {

// Their names, in the order of the table.
std::vector<std::string> FindUnsupported(const boost::json::object& body);

}  // namespace intactkv
