// Where the operators of DStream are: one struct of static functions in one header each, which the
// members of DStream call.
#pragma once

namespace sluice::internal {

template <class T, class Chain> struct Maps;      // map.h
template <class T, class Chain> struct Samples;   // sample.h
template <class T, class Chain> struct Transforms; // transform.h
template <class T, class Chain> struct Shuffles;  // shuffle.h
template <class T, class Chain> struct Distincts; // distinct.h
template <class T, class Chain> struct Sorts;     // sort.h
template <class T, class Chain> struct Combines;  // combine.h
template <class T, class Chain> struct Joins;     // join.h
template <class T, class Chain> struct StaticJoins;  // static_dataset.h
template <class T, class Chain> struct Windows;   // window.h
template <class T, class Chain> struct WindowForms;  // window_forms.h
template <class T, class Chain> struct Slices;    // slice.h
template <class T, class Chain> struct States;    // state.h
template <class T, class Chain> struct StateMaps; // map_with_state.h
template <class T, class Chain> struct Outputs;   // output.h
struct StreamAccess;
struct WholeRecord;                               // sort.h

}  // namespace sluice::internal
